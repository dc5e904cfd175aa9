package org.pmsi.mobile.demo.runtime

import java.io.Closeable
import java.io.File
import org.pmsi.mobile.demo.contract.Contract

/**
 * One runtime: how it opens a file. Each is an `object` in a source folder of its own, the only code that knows the
 * runtime's classes, and is in the build when `pmsi.runtimes` of gradle.properties names it.
 */
interface Engine {
    /** Of the runtime; null where it does not tell. */
    val version: String?

    /**
     * Opens a file that reads its image from [input], with [threads] threads of the CPU. Throws what the runtime
     * throws, also when it does not have the delegate or the delegate does not take the file.
     */
    fun open(file: File, contract: Contract, input: InputTensor, delegate: Delegate, threads: Int): Graph
}

/** A model file opened in its runtime. */
interface Graph : Closeable {
    /**
     * Runs the image in the input that the graph was opened with.
     *
     * Writes the probabilities, as many as [probabilities] holds; of a top-k file also their classes to [indices], of
     * one with an unknown score that to [unknownScore]: both are empty otherwise.
     */
    fun run(probabilities: FloatArray, indices: IntArray, unknownScore: FloatArray)
}
