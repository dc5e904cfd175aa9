package org.pmsi.mobile.demo.contract

import java.io.File
import java.io.IOException
import java.io.RandomAccessFile
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence

/** More bytes of text than these no contract has: they are not read. */
internal const val MAX_CONTRACT = 8 shl 20

/**
 * The contract's JSON in a model file, and how many bytes before it are the model itself. [sealed]: a digest of the
 * file's own covers the contract too. [labels]: the class names that the file gives others, one a line; null for none.
 */
internal class Embedded(val json: String, val contentLength: Long, val sealed: Boolean, val labels: String?)

/** Bytes that are not what pmsi-export writes; [reason] says which, in a few words. */
internal class DamagedFile(val reason: Sentence) : IOException() {
    constructor(reason: Int) : this(Sentence(reason))
}

/** Reads the contract inside a model file. */
object ContractReader {
    /** Throws [ModelProblem] for a file of another kind, damaged, without a contract, or from a newer pmsi-export. */
    fun read(file: File): Contract = try {
        val embedded = embedded(file) ?: throw ModelProblem(Sentence(R.string.model_bare, file.name))
        val contract = Contract.parse(embedded.json, file.name, embedded.sealed)
        if (embedded.labels != null && embedded.labels != contract.classes.joinToString("") { "$it\n" }) {
            throw DamagedFile(R.string.damaged_labels)
        }
        if (contract.contentSha256 != sha256(file, embedded.contentLength)) {
            throw ModelProblem(Sentence(R.string.model_changed, file.name))
        }
        contract
    } catch (damaged: DamagedFile) {
        throw ModelProblem(Sentence(R.string.model_damaged, file.name, damaged.reason), damaged)
    } catch (error: IOException) {
        throw ModelProblem(Sentence(R.string.file_unreadable, file.name, error.message.orEmpty()), error)
    }

    private fun embedded(file: File): Embedded? = when (file.extension) {
        "tflite", "pte" -> RandomAccessFile(file, "r").use(ZipTail::extract)
        "onnx" -> RandomAccessFile(file, "r").use { OnnxMetadata.extract(it, file) }
        else -> throw ModelProblem(Sentence(R.string.model_of_no_kind, file.name))
    }
}
