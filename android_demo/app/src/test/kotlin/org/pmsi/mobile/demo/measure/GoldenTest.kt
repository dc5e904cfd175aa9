package org.pmsi.mobile.demo.measure

import java.io.ByteArrayInputStream
import java.io.File
import java.io.InputStream
import java.io.SequenceInputStream
import java.nio.ByteBuffer
import java.util.Collections
import java.util.zip.ZipEntry
import java.util.zip.ZipOutputStream
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.english
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** Golden samples from elsewhere: what is wrong with them is said before anything large is made of it. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class GoldenTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val sample = """{"image": "0.png", "probabilities": [0.25, 0.75]}"""

    private fun index(version: String = "1", side: String = "8", classes: String = "2", samples: String = "[$sample]") =
        """{"schema_version": $version, "checkpoint_sha256": "c", "head": "mix", "side": $side, "classes": $classes,
        "samples": $samples}"""

    private fun png(width: Int, height: Int = width): ByteArray = ByteBuffer.allocate(64)
        .putLong(-0x76afb1b8f2f5e5f6L).putInt(13).put("IHDR".toByteArray()).putInt(width).putInt(height).array()

    private fun zip(index: String, png: InputStream? = png(8).inputStream()): File {
        val file = File(folder.root, "ckpt.golden.zip")
        ZipOutputStream(file.outputStream()).use { zip ->
            zip.putNextEntry(ZipEntry("golden.json"))
            zip.write(index.toByteArray())
            if (png != null) {
                zip.putNextEntry(ZipEntry("0.png"))
                png.copyTo(zip)
            }
        }
        return file
    }

    /** [megabytes] of zeros, of which a zip keeps a thousandth. */
    private fun zeros(megabytes: Int): InputStream {
        val one = ByteArray(1 shl 20)
        return SequenceInputStream(Collections.enumeration(List(megabytes) { ByteArrayInputStream(one) }))
    }

    @Test
    fun `samples that are whole are read`() {
        val golden = Golden.read(zip(index()))
        assertEquals(listOf(0.25f, 0.75f), golden.samples.single().probabilities.toList())
    }

    @Test
    fun `what contradicts itself is refused with a sentence`() {
        val samples = { change: String -> zip(index(samples = "[${sample.replace("0.75", change)}]")) }
        assertRefused("0.png is missing in it", zip(index(), png = null))
        assertRefused("there are none in it", zip(index(samples = "[]")))
        assertRefused("0.png has 2 probabilities for 3 classes", zip(index(classes = "3")))
        assertRefused("0.png is not a PNG of 8 × 8 pixels", zip(index(), png(12_000).inputStream()))
        assertRefused("0.png is not a PNG of 8 × 8 pixels", zip(index(), png(8, 9).inputStream()))
        assertRefused("0.png is not a PNG of 8 × 8 pixels", zip(index(), "GIF89a".byteInputStream()))
        assertRefused("pictures of 1000000 pixels a side", zip(index(side = "1000000")))
        assertRefused("pictures of -8 pixels a side", zip(index(side = "-8")))
        assertRefused("a newer pmsi-export", zip(index(version = "2")))
        assertRefused("schema_version is not a whole number", zip(index(version = "\"1\"")))
        assertRefused("probabilities are not all numbers", samples("NaN"))
        assertRefused("probabilities are not all numbers", samples("1e999"))
        assertRefused("probabilities are not all numbers", samples("\"0.75\""))
        assertRefused("too many parts inside each other", zip("{\"a\":" + "[".repeat(1_000_000)))
    }

    @Test
    fun `nothing is inflated beyond what golden samples can have`() {
        val bomb = zip(index(), zeros(megabytes = 65))
        assertTrue(bomb.length() < 1 shl 20)
        assertRefused("0.png is larger than golden samples can be", bomb)
        assertRefused("golden.json is larger than golden samples can be", zip(index() + " ".repeat(9 shl 20)))
    }

    private fun assertRefused(reason: String, golden: File) {
        val said = assertThrows(reason, ModelProblem::class.java) { Golden.read(golden) }.sentence.english
        assertTrue(said, said.startsWith("ckpt.golden.zip has no golden samples that can be read: ") && reason in said)
    }
}
