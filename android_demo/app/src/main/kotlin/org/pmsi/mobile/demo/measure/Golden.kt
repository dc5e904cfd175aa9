package org.pmsi.mobile.demo.measure

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.io.InputStream
import java.nio.ByteBuffer
import java.util.zip.ZipFile
import org.json.JSONException
import org.json.JSONObject
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.MAX_CONTRACT
import org.pmsi.mobile.demo.contract.MAX_SIDE
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.contract.SCHEMA_VERSION
import org.pmsi.mobile.demo.contract.integer
import org.pmsi.mobile.demo.contract.numbers
import org.pmsi.mobile.demo.contract.text
import org.pmsi.mobile.demo.contract.textOrNull

/** One golden sample: a PNG of exactly the network's input, and the training network's probabilities for it. */
class GoldenSample(val png: ByteArray, val probabilities: FloatArray)

/** Real images with the probabilities that the training network gives, one set for all files of a checkpoint. */
class Golden(val checkpointSha256: String, val head: String?, val side: Int, val samples: List<GoldenSample>) {
    /** Whether they are those of the network in a file with this contract. */
    fun belongsTo(contract: Contract): Boolean = checkpointSha256 == contract.checkpointSha256 &&
        head == contract.network.head &&
        side == contract.crop &&
        samples.all { it.probabilities.size == contract.classes.size }

    companion object {
        /** Reads a `.golden.zip`. Throws [ModelProblem]. */
        fun read(file: File): Golden = try {
            ZipFile(file).use { GoldenArchive(it, file.name).read() }
        } catch (error: IOException) {
            throw ModelProblem(Sentence(R.string.file_unreadable, file.name, error.message.orEmpty()), error)
        } catch (error: JSONException) {
            throw ModelProblem(Sentence(R.string.golden_unreadable, file.name, error.message.orEmpty()), error)
        } catch (error: IllegalArgumentException) {
            // What ZipFile throws for names that are not text.
            throw ModelProblem(Sentence(R.string.file_unreadable, file.name, error.message.orEmpty()), error)
        } catch (error: StackOverflowError) {
            throw ModelProblem(
                Sentence(R.string.golden_unreadable, file.name, Sentence(R.string.contract_nested)),
                error
            )
        }
    }
}

/** The archive called [name] while it is read: nothing is inflated beyond what golden samples can have. */
private class GoldenArchive(private val zip: ZipFile, private val name: String) {
    private var left = MAX_BYTES

    fun read(): Golden {
        val root = JSONObject(content("golden.json", MAX_CONTRACT).decodeToString())
        if (root.integer("schema_version") > SCHEMA_VERSION) refuse(Sentence(R.string.golden_newer))
        val side = root.integer("side")
        if (side !in 1..MAX_SIDE) refuse(Sentence(R.string.golden_side, side, MAX_SIDE))
        val samples = root.getJSONArray("samples")
        if (samples.length() == 0) refuse(Sentence(R.string.golden_empty))
        val classes = root.integer("classes")
        return Golden(
            checkpointSha256 = root.text("checkpoint_sha256"),
            head = root.textOrNull("head"),
            side = side,
            samples = List(samples.length()) { sample(samples.getJSONObject(it), side, classes) }
        )
    }

    private fun sample(sample: JSONObject, side: Int, classes: Int): GoldenSample {
        val image = sample.text("image")
        val probabilities = sample.numbers("probabilities")
        if (probabilities.size != classes) {
            refuse(Sentence(R.string.golden_ragged, image, probabilities.size, classes))
        }
        val png = content(image, MAX_BYTES)
        if (!isPng(png, side)) refuse(Sentence(R.string.golden_picture, image, side))
        return GoldenSample(png, FloatArray(classes) { probabilities[it].toFloat() })
    }

    /** Whether a PNG begins here, of [side] x [side] pixels (PNG specification, 5.2 and 11.2.1). */
    private fun isPng(content: ByteArray, side: Int): Boolean {
        if (content.size < HEADER_SIZE) return false
        val header = ByteBuffer.wrap(content)
        return header.getLong(0) == PNG && header.getInt(WIDTH) == side && header.getInt(WIDTH + Int.SIZE_BYTES) == side
    }

    /** What the archive says of an entry's size is not relied on. */
    private fun content(entryName: String, most: Int): ByteArray {
        val entry = zip.getEntry(entryName) ?: refuse(Sentence(R.string.golden_missing, entryName))
        val limit = minOf(most, left)
        val content = zip.getInputStream(entry).use { it.readAtMost(limit) }
            ?: refuse(Sentence(R.string.golden_too_large, entryName))
        left -= content.size
        return content
    }

    private fun refuse(reason: Sentence): Nothing =
        throw ModelProblem(Sentence(R.string.golden_unreadable, name, reason))

    private companion object {
        /** Of all entries together, inflated. */
        const val MAX_BYTES = 64 shl 20
        const val PNG = -0x76afb1b8f2f5e5f6L
        const val WIDTH = 16
        const val HEADER_SIZE = 24
    }
}

/** Null when there are more than [limit] bytes. */
private fun InputStream.readAtMost(limit: Int): ByteArray? {
    val content = ByteArrayOutputStream()
    val chunk = ByteArray(1 shl 16)
    while (content.size() <= limit) {
        val read = read(chunk)
        if (read < 0) return content.toByteArray()
        content.write(chunk, 0, read)
    }
    return null
}
