package org.pmsi.mobile.demo.runtime

import android.os.Build
import java.io.File
import org.pmsi.mobile.demo.Problem
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.Contract
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.TensorFlowLite
import org.tensorflow.lite.gpu.CompatibilityList
import org.tensorflow.lite.gpu.GpuDelegate
import org.tensorflow.lite.gpu.GpuDelegateFactory
import org.tensorflow.lite.nnapi.NnApiDelegate

/** LiteRT: .tflite files by the interpreter, on the CPU with XNNPACK. */
object LiteRtEngine : Engine {
    override val version: String get() = TensorFlowLite.runtimeVersion()

    override fun open(file: File, contract: Contract, input: InputTensor, delegate: Delegate, threads: Int): Graph {
        val accelerator = accelerator(delegate)
        val options = Interpreter.Options().setNumThreads(threads)
        accelerator?.let(options::addDelegate)
        return runCatching { LiteRtGraph(Interpreter(file, options), accelerator, contract, input) }
            .onFailure { accelerator?.close() }
            .getOrThrow()
    }

    private fun accelerator(delegate: Delegate): org.tensorflow.lite.Delegate? = when (delegate) {
        Delegate.GPU ->
            CompatibilityList().use { devices ->
                // The list ends before the GPUs of recent phones: of one that is not in it, nothing is known.
                val known = devices.isDelegateSupportedOnThisDevice
                GpuDelegate(if (known) devices.bestOptionsForThisDevice else GpuDelegateFactory.Options())
            }
        Delegate.NNAPI -> {
            val present = Build.VERSION.SDK_INT >= Build.VERSION_CODES.O_MR1
            if (!present) throw Problem(Sentence(R.string.delegate_nnapi))
            NnApiDelegate()
        }
        else -> null
    }
}

private class LiteRtGraph(
    private val interpreter: Interpreter,
    private val accelerator: org.tensorflow.lite.Delegate?,
    contract: Contract,
    input: InputTensor
) : Graph {
    private val count = contract.topK ?: contract.classes.size
    private val probabilities = directBuffer(count * Float.SIZE_BYTES).asFloatBuffer()
    private val indices = directBuffer(count * Int.SIZE_BYTES).asIntBuffer()
    private val unknownScore = directBuffer(Float.SIZE_BYTES).asFloatBuffer()
    private val inputs: Map<String, Any> = mapOf("image" to input.bytes)
    private val outputs: Map<String, Any> =
        buildMap {
            put("probabilities", probabilities)
            if (contract.topK != null) put("indices", indices)
            if (contract.givesUnknownScore) put("unknown_score", unknownScore)
        }

    override fun run(probabilities: FloatArray, indices: IntArray, unknownScore: FloatArray) {
        toStart()
        interpreter.runSignature(inputs, outputs)
        toStart()
        this.probabilities.get(probabilities)
        this.indices.get(indices)
        this.unknownScore.get(unknownScore)
    }

    private fun toStart() {
        probabilities.toStart()
        indices.toStart()
        unknownScore.toStart()
    }

    override fun close() {
        interpreter.close()
        accelerator?.close()
    }
}
