package org.pmsi.mobile.demo.image

import android.graphics.Bitmap
import android.graphics.Color
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.FileNotFoundException
import kotlin.math.abs
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ContractReader
import org.pmsi.mobile.demo.english
import org.pmsi.mobile.demo.floats
import org.pmsi.mobile.demo.meanDifference
import org.pmsi.mobile.demo.runtime.Delegate
import org.pmsi.mobile.demo.runtime.InferenceRuntime
import org.pmsi.mobile.demo.top1
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** With Android's own decoders, from the photo file to the class. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [26, 34])
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class PhotoTest {
    private val photos by lazy { checkNotNull(Fixtures.file("photos").listFiles()).sorted() }

    /** Those that are not too large to be decoded whole. */
    private val whole by lazy { photos.filterNot { it.name.startsWith("thinned") } }

    @Test
    fun `photos of any kind and size have the pixels of Python, nearly all bit by bit`() {
        val contracts = Fixtures.models("").keys.map(ContractReader::read)
        for (contract in contracts.distinctBy { it.resize to it.crop }) {
            val resizer = Resizer(contract)
            val differences = photos.associate { it.name to pixelDifference(it, contract, resizer) }
            val others = differences.filterValues { it > 0 }
            val identical = photos.size - others.size
            println("${contract.resize} -> ${contract.crop} px: $identical of ${photos.size} photos bit by bit")
            println("mean differences of the others, in grey levels: $others")
            assertEquals(emptyMap<String, Double>(), others.filterValues { it > 1 })
            assertEquals(emptyList<String>(), others.keys.filterNot { mayDiffer(it, contract.resize) })
        }
    }

    @Test
    fun `every ONNX file gives photos the class and the probabilities that it gives them in Python`() {
        for ((model, python) in Fixtures.models(".onnx")) {
            val expected = python.getJSONObject("probabilities")
            val contract = ContractReader.read(model)
            val largest =
                InferenceRuntime.ONNXRUNTIME.open(model, contract, Delegate.CPU, 1).use { classifier ->
                    val resizer = Resizer(contract)
                    whole.maxOf { file ->
                        val reference = expected.getJSONArray(file.name).floats()
                        val output = Photo.decode(file::inputStream).use { classifier.classify(resizer.resize(it)) }
                        assertEquals("${model.name} on ${file.name}", reference.top1(), output.top1())
                        output.indices.maxOf { abs(output[it] - reference[it]) }
                    }
                }
            println("${model.name}: top-1 as in Python on ${whole.size} photos, largest difference $largest")
            assertTrue("$largest", largest <= if (contract.precision == "fp32") 1e-3f else 0.05f)
        }
    }

    @Test
    fun `a photo lies upright as its EXIF entry says`() {
        val stored = Fixtures.file("photos/exif-1.jpg")
        Photo.decode(stored::inputStream).use { assertEquals(listOf(384, 320), listOf(it.width, it.height)) }
        for (orientation in 5..8) {
            val file = Fixtures.file("photos/exif-$orientation.jpg")
            Photo.decode(file::inputStream).use { assertEquals(listOf(320, 384), listOf(it.width, it.height)) }
        }
    }

    @Test
    fun `the preview is the upright photo, no larger than asked for`() {
        val file = Fixtures.file("photos/exif-6.jpg")
        Photo.decode(file::inputStream).use { photo ->
            val preview = photo.preview(48)
            assertEquals(listOf(40, 48), listOf(preview.width, preview.height))
            val whole = photo.preview(1000)
            assertEquals(listOf(320, 384), listOf(whole.width, whole.height))
            val row = ByteArray(3 * photo.width)
            photo.read(0, row)
            assertEquals(row[0].toInt() and 0xff, Color.red(whole.getPixel(0, 0)))
        }
    }

    @Test
    fun `pixels of a PNG come out as they went in`() {
        val pixels = ByteArray(4 * 3 * 3) { (it * 7).toByte() }
        val png = ByteArrayOutputStream()
        bitmapOf(pixels, 4, 3).compress(Bitmap.CompressFormat.PNG, 100, png)
        assertArrayEquals(pixels, pixelsOf(png.toByteArray()))
    }

    @Test
    fun `a photo of a wide gamut has its colours in sRGB`() {
        val expected = Fixtures.file("wide-gamut/p3.rgb").readBytes()
        for (name in listOf("p3.png", "p3.jpg")) {
            val pixels = pixelsOf(Fixtures.file("wide-gamut/$name").readBytes())
            val furthest = expected.indices.maxOf {
                abs((pixels[it].toInt() and 0xff) - (expected[it].toInt() and 0xff))
            }
            assertTrue("$name differs by $furthest", furthest <= 3)
        }
    }

    @Test
    fun `what is no photo is refused with a sentence`() {
        val photo = Fixtures.file("photos/drawn-0.jpg").readBytes()
        for (content in listOf(ByteArray(0), "no photo".toByteArray(), photo.copyOf(100))) {
            val problem = assertThrows(PhotoProblem::class.java) { Photo.decode(content::inputStream) }
            assertEquals("This is not a photo that the device can read, or it is damaged.", problem.sentence.english)
        }
        val gone = assertThrows(PhotoProblem::class.java) { Photo.decode { throw FileNotFoundException("gone") } }
        assertEquals("The photo cannot be opened: gone.", gone.sentence.english)
        val forbidden = assertThrows(PhotoProblem::class.java) { Photo.decode { throw SecurityException() } }
        assertEquals("The photo cannot be opened: its app does not allow it any more.", forbidden.sentence.english)
    }

    @Test
    fun `a photo of which the end is missing is decoded as far as it goes`() {
        val whole = Fixtures.file("photos/drawn-1.jpg").readBytes()
        val cut = whole.copyOf(whole.size * 2 / 3)
        val rows = listOf(whole, cut).map { content ->
            Photo.decode(content::inputStream).use { photo -> ByteArray(3 * photo.width).also { photo.read(0, it) } }
        }
        assertArrayEquals(rows[0], rows[1])
    }

    private fun pixelDifference(file: File, contract: Contract, resizer: Resizer): Double {
        val expected = Fixtures.pixels(file.name, contract.resize, contract.crop)
        return Photo.decode(file::inputStream).use { meanDifference(expected, resizer.resize(it)) }
    }

    /** Thinned out, or shortened so much more than narrowed that Pillow 13 does it first. */
    private fun mayDiffer(name: String, resize: Int): Boolean {
        val (width, height) =
            Photo.decode(Fixtures.file("photos/$name")::inputStream).use { it.width to it.height }
        return name.startsWith("thinned") || height > resize && height - resize > 2 * (width - resize)
    }
}
