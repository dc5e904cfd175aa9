package org.pmsi.mobile.demo

import java.io.File
import javax.imageio.ImageIO
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assume.assumeTrue
import org.pmsi.mobile.demo.runtime.top
import org.robolectric.RuntimeEnvironment

/** The folder that `tests/android_demo/fixtures.py` fills. Tests that need it are skipped where it is not given. */
object Fixtures {
    private val folder = File(System.getProperty("pmsi.fixtures").orEmpty())

    fun file(path: String): File {
        assumeTrue(
            "no fixtures: tests/android_demo/fixtures.py makes them, -Dpmsi.fixtures names them",
            folder.isDirectory
        )
        return File(folder, path)
    }

    fun json(path: String) = JSONObject(file(path).readText())

    /** Model files by name, with what Python says about each. */
    fun models(suffix: String): Map<File, JSONObject> {
        val models = json("models.json")
        return models.keys().asSequence().filter { it.endsWith(suffix) }.sorted()
            .associate { file("models/$it") to models.getJSONObject(it) }
    }

    /** The network's input for a photo, as Python makes it. */
    fun pixels(photo: String, resize: Int, crop: Int): ByteArray = file("pixels/$photo-$resize-$crop.rgb").readBytes()
}

/** As it is said without translations, which the test runner of Robolectric alone can tell. */
val Sentence.english: String get() = text(RuntimeEnvironment.getApplication().resources)

fun JSONArray.floats() = FloatArray(length()) { if (isNull(it)) Float.NaN else getDouble(it).toFloat() }

fun JSONArray.rows() = List(length()) { getJSONArray(it).floats() }

fun FloatArray.top1() = top(1).first().index

/** Of unsigned bytes. */
fun meanDifference(first: ByteArray, second: ByteArray): Double {
    require(first.size == second.size) { "${first.size} and ${second.size} bytes" }
    return first.indices.sumOf { Math.abs((first[it].toInt() and 0xff) - (second[it].toInt() and 0xff)) }.toDouble() /
        first.size
}

/** R, G and B of each pixel, by the JVM's own decoder. */
fun decodedPng(png: ByteArray): ByteArray {
    val image = ImageIO.read(png.inputStream())
    return ByteArray(image.width * image.height * 3) {
        val pixel = it / 3
        (image.getRGB(pixel % image.width, pixel / image.width) shr 16 - 8 * (it % 3)).toByte()
    }
}
