package org.pmsi.mobile.demo.runtime

import java.io.File
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pytorch.executorch.EValue
import org.pytorch.executorch.Module
import org.pytorch.executorch.Tensor

/** ExecuTorch: .pte files, in which the work is delegated to XNNPACK when they are exported. */
object ExecuTorchEngine : Engine {
    override val version: String? = null

    override fun open(file: File, contract: Contract, input: InputTensor, delegate: Delegate, threads: Int): Graph =
        ExecuTorchGraph(Module.load(file.path, Module.LOAD_MODE_MMAP, threads), input)
}

private class ExecuTorchGraph(private val module: Module, input: InputTensor) : Graph {
    private val image =
        EValue.from(
            input.floats?.let { Tensor.fromBlob(it, input.shape) } ?: Tensor.fromBlobUnsigned(input.bytes, input.shape)
        )

    override fun run(probabilities: FloatArray, indices: IntArray, unknownScore: FloatArray) {
        val outputs = module.forward(image)
        val given = outputs[0].toTensor().dataAsFloatArray
        if (given.size != probabilities.size) {
            throw ModelProblem(Sentence(R.string.model_other_size, given.size, probabilities.size))
        }
        given.copyInto(probabilities)
        if (indices.isNotEmpty()) {
            outputs[1].toTensor().dataAsLongArray.forEachIndexed { rank, index ->
                indices[rank] =
                    index.toInt()
            }
        }
        if (unknownScore.isNotEmpty()) outputs[1].toTensor().dataAsFloatArray.copyInto(unknownScore)
    }

    override fun close() = module.destroy()
}
