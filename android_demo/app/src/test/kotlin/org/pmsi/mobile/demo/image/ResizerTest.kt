package org.pmsi.mobile.demo.image

import java.awt.image.BufferedImage
import java.io.File
import javax.imageio.ImageIO
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertSame
import org.junit.Test
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.ContractReader

class ResizerTest {
    private val contract by lazy { ContractReader.read(Fixtures.models(".onnx").keys.first()) }

    @Test
    fun `pixels are those of Python, bit by bit, from pictures of any size one after the other`() {
        val resizer = Resizer(contract)
        val pictures = Fixtures.file("photos").listFiles { file ->
            file.name.startsWith("drawn") &&
                file.extension == "png"
        }
        for (file in checkNotNull(
            pictures
        ) + Fixtures.file("photos/one-pixel.png") + Fixtures.file("photos/line.png")) {
            val expected = Fixtures.pixels(file.name, contract.resize, contract.crop)
            assertArrayEquals(file.name, expected, resizer.resize(DecodedPicture(file)))
        }
    }

    @Test
    fun `the pixels of one picture overwrite those of the one before`() {
        val resizer = Resizer(contract)
        val picture = DecodedPicture(Fixtures.file("photos/drawn-0.png"))
        assertSame(resizer.resize(picture), resizer.resize(picture))
    }
}

/** By the JVM's own decoder. */
private class DecodedPicture(file: File) : RgbRows {
    private val image: BufferedImage = ImageIO.read(file)
    override val width = image.width
    override val height = image.height

    override fun read(y: Int, row: ByteArray) {
        for (x in 0 until width) {
            val colour = image.getRGB(x, y)
            for (channel in 0..2) row[3 * x + channel] = (colour shr 16 - 8 * channel).toByte()
        }
    }
}
