package org.pmsi.mobile.demo.contract

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile

/** The contract's JSON in a model file, and how many bytes before it are the model itself. */
internal class Embedded(val json: String, val contentLength: Long)

/** Bytes that are not what pmsi-export writes; the message says which, in a few words. */
internal class DamagedFile(reason: String) : IOException(reason)

/** Reads the contract inside a model file. */
object ContractReader {
    /** Throws [ModelProblem] for a file of another kind, damaged, without a contract, or from a newer pmsi-export. */
    fun read(file: File): Contract = try {
        val embedded =
            embedded(file) ?: refuse("${file.name} has no contract inside: it is cut off or not from pmsi-export")
        val contract = Contract.parse(embedded.json, file.name)
        if (contract.contentSha256 != sha256(file, embedded.contentLength)) {
            refuse("${file.name} has changed since it was exported, or has the contract of another file")
        }
        contract
    } catch (damaged: DamagedFile) {
        throw ModelProblem("${file.name} is damaged: ${damaged.message}. Copy or export it again.", damaged)
    } catch (error: IOException) {
        throw ModelProblem("${file.name} cannot be read: ${error.message}.", error)
    }

    private fun embedded(file: File): Embedded? = when (file.extension) {
        "tflite", "pte" -> RandomAccessFile(file, "r").use(ZipTail::extract)
        "onnx" -> RandomAccessFile(file, "r").use { OnnxMetadata.extract(it, file) }
        else -> throw ModelProblem("${file.name} is not a model for this app: it takes .tflite, .onnx and .pte files.")
    }

    private fun refuse(problem: String): Nothing = throw ModelProblem("$problem. Export it again.")
}
