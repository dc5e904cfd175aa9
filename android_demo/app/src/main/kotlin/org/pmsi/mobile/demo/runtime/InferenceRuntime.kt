package org.pmsi.mobile.demo.runtime

import java.io.File
import org.pmsi.mobile.demo.Problem
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.reasonOf

/**
 * The runtimes that the app knows, each for one kind of file.
 *
 * [id]: its name on the command line, in results, and in `pmsi.runtimes` of gradle.properties. [delegates]: what it can
 * compute with; it falls back to the first.
 */
enum class InferenceRuntime(
    val id: String,
    val title: String,
    val suffix: String,
    val delegates: List<Delegate>,
    private val engineName: String
) {
    LITERT("litert", "LiteRT", "tflite", listOf(Delegate.CPU, Delegate.GPU, Delegate.NNAPI), "LiteRtEngine"),
    ONNXRUNTIME(
        "onnxruntime",
        "ONNX Runtime",
        "onnx",
        listOf(Delegate.CPU, Delegate.XNNPACK, Delegate.NNAPI),
        "OnnxEngine"
    ),
    EXECUTORCH("executorch", "ExecuTorch", "pte", listOf(Delegate.XNNPACK), "ExecuTorchEngine")
    ;

    private val engine: Engine? by lazy {
        try {
            Class.forName("${Engine::class.java.`package`!!.name}.$engineName").getField("INSTANCE").get(null) as Engine
        } catch (_: ClassNotFoundException) {
            null
        }
    }

    /** Whether the app was built with it. */
    val isBuiltIn: Boolean get() = engine != null

    /** Null where it is not built in, does not tell, or cannot be loaded on this device. */
    val version: String? get() = runCatching { engine?.version }.getOrNull()

    /**
     * Opens a file of this runtime. Where [delegate] does not exist or does not take the file, it falls back to the
     * first of [delegates], and says so in the classifier's note. Throws [ModelProblem].
     */
    fun open(file: File, contract: Contract, delegate: Delegate, threads: Int): Classifier {
        val engine =
            engine ?: throw ModelProblem(Sentence(R.string.model_needs_runtime, file.name, title, id))
        val input = InputTensor(contract)
        val usual = delegates.first()
        val graph =
            when (delegate) {
                usual -> null
                !in delegates -> Result.failure(Problem(Sentence(R.string.delegate_unknown, title)))
                else -> attempt { engine.open(file, contract, input, delegate, threads) }
            }
        graph?.onSuccess { return Classifier(contract, this, delegate, null, input, it) }
        val note = graph?.exceptionOrNull()?.let {
            Sentence(R.string.delegate_unused, delegate.id, usual.id, reasonOf(it))
        }
        return attempt { engine.open(file, contract, input, usual, threads) }
            .map { Classifier(contract, this, usual, note, input, it) }
            .getOrElse { throw ModelProblem(Sentence(R.string.model_unopened, title, file.name, reasonOf(it)), it) }
    }

    companion object {
        /** By a name as in [id]; null for a name that is none. */
        fun of(id: String): InferenceRuntime? = entries.firstOrNull { it.id == id }

        /** The one for a file that [org.pmsi.mobile.demo.contract.ContractReader] read. */
        fun of(file: File): InferenceRuntime = entries.first { it.suffix == file.extension }
    }
}

/** Each runtime throws its own exceptions, and errors where its native library does not load. */
@Suppress("TooGenericExceptionCaught")
private inline fun <T> attempt(open: () -> T): Result<T> = try {
    Result.success(open())
} catch (error: Exception) {
    Result.failure(error)
} catch (error: LinkageError) {
    Result.failure(error)
}
