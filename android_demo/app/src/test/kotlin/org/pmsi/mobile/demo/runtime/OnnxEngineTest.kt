package org.pmsi.mobile.demo.runtime

import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.ContractReader
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.english
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class OnnxEngineTest {
    private val runtime = InferenceRuntime.ONNXRUNTIME
    private val model by lazy { Fixtures.models(".onnx").keys.first() }
    private val contract by lazy { ContractReader.read(model) }
    private val image by lazy { Fixtures.pixels("drawn-0.png", contract.resize, contract.crop) }

    @Test
    fun `probabilities lie in one array that is reused, and are those of the last image`() {
        runtime.open(model, contract, Delegate.CPU, 2).use { classifier ->
            val first = classifier.classify(image)
            val kept = first.copyOf()
            assertEquals(1f, first.sum(), 1e-3f)
            assertSame(first, classifier.classify(ByteArray(image.size)))
            assertTrue(first.indices.any { first[it] != kept[it] })
            assertEquals(kept.toList(), classifier.classify(image).toList())
        }
    }

    @Test
    fun `a file of the largest probabilities gives zeros for the other classes`() {
        val models = Fixtures.models(".onnx").keys.associateWith(ContractReader::read)
        val (largest, its) = models.entries.first { it.value.topK != null }
        val all = models.entries.first { it.value.topK == null && it.value.precision == "fp32" }
        val expected = runtime.open(all.key, all.value, Delegate.CPU, 1).use { it.classify(image).top(3) }
        runtime.open(largest, its, Delegate.CPU, 1).use { classifier ->
            val output = classifier.classify(image)
            assertEquals(its.classes.size, output.size)
            assertEquals(3, output.count { it > 0 })
            assertEquals(expected.map { it.index }, output.top(3).map { it.index })
            for (rank in 0..2) assertEquals(expected[rank].value, output.top(3)[rank].value, 1e-4f)
        }
    }

    @Test
    fun `a file with an unknown score gives photos the score that it gives them in Python, others give none`() {
        val (model, python) = Fixtures.models(".onnx").entries.first { ContractReader.read(it.key).givesUnknownScore }
        val scores = python.getJSONObject("unknown_scores")
        val scored = ContractReader.read(model)
        runtime.open(model, scored, Delegate.CPU, 1).use { classifier ->
            for (photo in scores.keys()) {
                classifier.classify(Fixtures.pixels(photo, scored.resize, scored.crop))
                assertEquals(photo, scores.getDouble(photo).toFloat(), classifier.unknownScore!!, 1e-3f)
            }
        }
        runtime.open(this.model, contract, Delegate.CPU, 1).use {
            it.classify(image)
            assertNull(it.unknownScore)
        }
    }

    @Test
    fun `a delegate that the build of the runtime lacks falls back to the processor and says so`() {
        for (delegate in listOf(Delegate.XNNPACK, Delegate.NNAPI, Delegate.GPU)) {
            runtime.open(model, contract, delegate, 1).use { classifier ->
                assertEquals(Delegate.CPU, classifier.delegate)
                val note = classifier.note!!.english
                assertTrue(note, note.startsWith("${delegate.id} could not be used, ran on cpu: "))
                assertEquals(1f, classifier.classify(image).sum(), 1e-3f)
            }
        }
        runtime.open(model, contract, Delegate.CPU, 1).use { assertNull(it.note) }
    }

    @Test
    fun `a file that the runtime does not take is refused with the runtime's reason`() {
        val words = File.createTempFile("words", ".onnx").apply { writeText("no model") }
        val problem =
            assertThrows(ModelProblem::class.java) { runtime.open(words, contract, Delegate.CPU, 1) }
        val said = problem.sentence.english
        assertTrue(said, said.startsWith("ONNX Runtime cannot open ${words.name}: "))
        words.delete()
    }

    @Test
    fun `an image of another size is refused`() {
        runtime.open(model, contract, Delegate.CPU, 1).use { classifier ->
            assertThrows(IllegalArgumentException::class.java) { classifier.classify(ByteArray(3)) }
        }
    }

    @Test
    fun `the runtime tells its version`() {
        assertTrue(runtime.version.orEmpty(), Regex("""\d+\.\d+\.\d+""").matches(runtime.version.orEmpty()))
    }
}
