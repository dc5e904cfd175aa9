package org.pmsi.mobile.demo.tflite

import java.io.File
import kotlin.math.abs
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Assume.assumeTrue
import org.junit.BeforeClass
import org.junit.Test
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ContractReader
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.contract.ModelStore
import org.pmsi.mobile.demo.decodedPng
import org.pmsi.mobile.demo.floats
import org.pmsi.mobile.demo.measure.SelfCheck
import org.pmsi.mobile.demo.runtime.Delegate
import org.pmsi.mobile.demo.runtime.InferenceRuntime
import org.pmsi.mobile.demo.top1

/** By TensorFlow Lite 2.6, the one that a JVM can load. It takes float files only; LiteRT on a phone takes all. */
class LiteRtEngineTest {
    private val models by lazy { Fixtures.models(".tflite") }
    private val runtime = InferenceRuntime.LITERT

    @Test
    fun `every float file gives photos the class and the probabilities that it gives them in Python`() {
        var files = 0
        for ((model, python) in models) {
            val contract = ContractReader.read(model)
            if (contract.precision !in FLOAT) continue
            files++
            val photos = python.getJSONObject("probabilities")
            val scores = python.getJSONObject("unknown_scores")
            val largest =
                runtime.open(model, contract, Delegate.CPU, 2).use { classifier ->
                    photos.keys().asSequence().maxOf { photo ->
                        val expected = photos.getJSONArray(photo).floats()
                        val output = classifier.classify(Fixtures.pixels(photo, contract.resize, contract.crop))
                        assertEquals("${model.name} on $photo", expected.top1(), output.top1())
                        classifier.unknownScore?.let { assertEquals(scores.getDouble(photo), it.toDouble(), 1e-3) }
                        output.indices.maxOf { abs(output[it] - expected[it]) }
                    }
                }
            println("${model.name}: top-1 as in Python on ${photos.length()} photos, largest difference $largest")
            assertTrue("${model.name} differs by $largest", largest <= 1e-4)
        }
        assertTrue("$files float files", files > 0)
    }

    @Test
    fun `golden samples pass through the runtime`() {
        val store = ModelStore(listOf(Fixtures.file("models")), Fixtures.file("models"))
        val model = store.find("ckpt.tflite")
        runtime.open(model.file, model.contract, Delegate.CPU, 1).use { classifier ->
            val result = SelfCheck.run(classifier, store.goldenOf(model.contract)!!, ::decodedPng)
            assertTrue("${result.misses}", result.passed)
        }
    }

    @Test
    fun `a delegate that is not there falls back to the processor and says so`() {
        val (model, contract) = floatModel()
        for (delegate in listOf(Delegate.GPU, Delegate.XNNPACK)) {
            runtime.open(model, contract, delegate, 1).use { classifier ->
                assertEquals(Delegate.CPU, classifier.delegate)
                val note = checkNotNull(classifier.note)
                assertEquals(R.string.delegate_unused, note.id)
                assertEquals(listOf(delegate.id, "cpu"), note.parts.take(2))
            }
        }
    }

    @Test
    fun `a file of operators that the runtime is too old for is refused with the runtime's reason`() {
        val int8 = models.keys.first { ContractReader.read(it).precision == "int8" }
        val problem =
            assertThrows(ModelProblem::class.java) { runtime.open(int8, ContractReader.read(int8), Delegate.CPU, 1) }
        assertEquals(R.string.model_unopened, problem.sentence.id)
        assertEquals(listOf("LiteRT", int8.name), problem.sentence.parts.take(2))
    }

    private fun floatModel(): Pair<File, Contract> =
        models.keys.map { it to ContractReader.read(it) }.first { it.second.precision == "fp32" }

    companion object {
        private val FLOAT = setOf("fp32", "fp16")
        private const val LIBRARY = "native/lib/libtensorflowlite_jni.so"

        @JvmStatic
        @BeforeClass
        fun loadRuntime() {
            assumeTrue("the Maven proof alone brings a TFLite for the JVM", System.getProperty("pmsi.tflite") == "jvm")
            val library = File.createTempFile("tensorflowlite", ".so")
            library.deleteOnExit()
            val content = checkNotNull(LiteRtEngineTest::class.java.classLoader?.getResourceAsStream(LIBRARY))
            content.use { library.outputStream().use(it::copyTo) }
            System.load(library.path)
        }
    }
}
