package org.pmsi.mobile.demo.measure

import java.io.File
import java.io.IOException
import java.util.zip.ZipFile
import org.json.JSONException
import org.json.JSONObject
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.contract.SCHEMA_VERSION

/** One golden sample: a PNG of exactly the network's input, and the training network's probabilities for it. */
class GoldenSample(val png: ByteArray, val probabilities: FloatArray)

/** Real images with the probabilities that the training network gives, one set for all files of a checkpoint. */
class Golden(val checkpointSha256: String, val head: String?, val side: Int, val samples: List<GoldenSample>) {
    /** Whether they are those of the network in a file with this contract. */
    fun belongsTo(contract: Contract): Boolean =
        checkpointSha256 == contract.checkpointSha256 && head == contract.network.head && side == contract.crop

    companion object {
        /** Reads a `.golden.zip`. Throws [ModelProblem]. */
        fun read(file: File): Golden = try {
            ZipFile(file).use(::golden)
        } catch (error: IOException) {
            throw ModelProblem("${file.name} cannot be read: ${error.message}.", error)
        } catch (error: JSONException) {
            throw ModelProblem("${file.name} has no golden samples that can be read: ${error.message}.", error)
        }

        private fun golden(zip: ZipFile): Golden {
            val root = JSONObject(zip.content("golden.json").decodeToString())
            val version = root.getInt("schema_version")
            if (version > SCHEMA_VERSION) throw IOException("it was written by a newer pmsi-export")
            val samples = root.getJSONArray("samples")
            return Golden(
                checkpointSha256 = root.getString("checkpoint_sha256"),
                head = if (root.isNull("head")) null else root.getString("head"),
                side = root.getInt("side"),
                samples =
                List(samples.length()) { index ->
                    val sample = samples.getJSONObject(index)
                    val probabilities = sample.getJSONArray("probabilities")
                    GoldenSample(
                        png = zip.content(sample.getString("image")),
                        probabilities = FloatArray(probabilities.length()) {
                            probabilities.getDouble(it).toFloat()
                        }
                    )
                }
            )
        }

        private fun ZipFile.content(name: String): ByteArray {
            val entry = getEntry(name) ?: throw IOException("$name is missing in it")
            return getInputStream(entry).use { it.readBytes() }
        }
    }
}
