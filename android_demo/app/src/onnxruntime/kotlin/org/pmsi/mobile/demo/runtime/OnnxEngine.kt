package org.pmsi.mobile.demo.runtime

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import ai.onnxruntime.OrtSession
import java.io.File
import org.pmsi.mobile.demo.contract.Contract

/** In the metadata of int8 files that no x86 processor overflows on; those of 0.1.0 lack it. */
private const val PAIR_SUM = "pmsi.pair_sum"

/** ONNX Runtime: .onnx files. */
object OnnxEngine : Engine {
    private val environment: OrtEnvironment by lazy { OrtEnvironment.getEnvironment().apply { setTelemetry(false) } }

    override val version: String get() = environment.version

    override fun open(file: File, contract: Contract, input: InputTensor, delegate: Delegate, threads: Int): Graph =
        OrtSession.SessionOptions().use { options ->
            options.setInterOpNumThreads(1)
            // XNNPACK brings threads of its own.
            options.setIntraOpNumThreads(if (delegate == Delegate.XNNPACK) 1 else threads)
            when (delegate) {
                Delegate.XNNPACK -> options.addXnnpack(mapOf("intra_op_num_threads" to threads.toString()))
                Delegate.NNAPI -> options.addNnapi()
                else -> Unit
            }
            var session = environment.createSession(file.path, options)
            if (contract.precision.startsWith("int8") && PAIR_SUM !in session.metadata.customMetadata) {
                session.close()
                options.addConfigEntry("session.x64quantprecision", "1")
                session = environment.createSession(file.path, options)
            }
            OnnxGraph(environment, session, contract, input)
        }
}

/** The tensors lie over buffers that are allocated once: a run copies nothing but what it gives. */
private class OnnxGraph(
    environment: OrtEnvironment,
    private val session: OrtSession,
    contract: Contract,
    input: InputTensor
) : Graph {
    private val count = contract.topK ?: contract.classes.size
    private val probabilities = directBuffer(count * Float.SIZE_BYTES).asFloatBuffer()
    private val indices = directBuffer((contract.topK ?: 0) * Long.SIZE_BYTES).asLongBuffer()
    private val unknownScore = directBuffer(Float.SIZE_BYTES).asFloatBuffer()
    private val image =
        input.floats?.let { OnnxTensor.createTensor(environment, it, input.shape) }
            ?: OnnxTensor.createTensor(environment, input.bytes, input.shape, OnnxJavaType.UINT8)
    private val inputs = mapOf("image" to image)
    private val outputs =
        buildMap {
            val shape = longArrayOf(1, count.toLong())
            put("probabilities", OnnxTensor.createTensor(environment, probabilities, shape))
            if (contract.topK != null) put("indices", OnnxTensor.createTensor(environment, indices, shape))
            if (contract.givesUnknownScore) {
                put("unknown_score", OnnxTensor.createTensor(environment, unknownScore, longArrayOf(1, 1)))
            }
        }

    override fun run(probabilities: FloatArray, indices: IntArray, unknownScore: FloatArray) {
        session.run(inputs, outputs).close()
        this.probabilities.toStart()
        this.probabilities.get(probabilities)
        for (rank in indices.indices) indices[rank] = this.indices[rank].toInt()
        this.unknownScore.toStart()
        this.unknownScore.get(unknownScore)
    }

    override fun close() {
        session.close()
        image.close()
        outputs.values.forEach(OnnxTensor::close)
    }
}
