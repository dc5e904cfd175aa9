package org.pmsi.mobile.demo.measure

import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertThrows
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.ContractReader
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.contract.ModelStore
import org.pmsi.mobile.demo.decodedPng
import org.pmsi.mobile.demo.english
import org.pmsi.mobile.demo.runtime.Delegate
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** A network that gives no numbers, as one that diverged or a delegate that computes wrongly. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class NotFiniteTest {
    private val store by lazy {
        ModelStore(listOf(Fixtures.file("not-finite"), Fixtures.file("models")), Fixtures.file("models"))
    }
    private val model by lazy { store.find("not-finite.onnx") }

    @Test
    fun `what it gives is refused as probabilities`() = assertRefused("not-finite.onnx")

    @Test
    fun `an unknown score that is no number is refused like probabilities that are none`() {
        assertRefused("score-not-finite.onnx")
        val scored = store.find("score-not-finite.onnx")
        val golden = checkNotNull(store.goldenOf(scored.contract))
        scored.runtime.open(scored.file, scored.contract, Delegate.CPU, 1).use {
            assertEquals(golden.samples.size, SelfCheck.run(it, golden, ::decodedPng).comparison.notFinite)
        }
    }

    private fun assertRefused(name: String) {
        val model = store.find(name)
        model.runtime.open(model.file, model.contract, Delegate.CPU, 1).use { classifier ->
            val side = model.contract.crop
            val problem = assertThrows(ModelProblem::class.java) { classifier.classify(ByteArray(side * side * 3)) }
            assertEquals(
                "On CPU it gives numbers that are no probabilities. Run the self-check, try another delegate, or " +
                    "export the model again.",
                problem.sentence.english
            )
        }
    }

    @Test
    fun `the self-check of it fails`() {
        val golden = checkNotNull(store.goldenOf(model.contract))
        model.runtime.open(model.file, model.contract, Delegate.CPU, 1).use { classifier ->
            val result = SelfCheck.run(classifier, golden, ::decodedPng)
            val count = golden.samples.size
            assertEquals(
                "Out of bounds: $count of $count images give numbers that are no probabilities",
                result.misses.first().english
            )
        }
    }

    @Test
    fun `its benchmark is a failure, with golden samples and without`() {
        val alone = ModelStore(listOf(Fixtures.file("not-finite")), Fixtures.file("not-finite"))
        for (models in listOf(store, alone)) {
            val result = Benchmark(models, ::decodedPng) { null }.run(BenchmarkRequest("not-finite.onnx", runs = 2))
            assertEquals(null, result.measurement)
            assertEquals("On CPU it gives numbers that are no probabilities.", result.error!!.english.take(50))
        }
    }

    @Test
    fun `one number that is none, or infinite, fails every gate`() {
        val contract = ContractReader.read(Fixtures.file("models/ckpt.onnx"))
        val expected = List(1000) { floatArrayOf(0.9f, 0.1f) }
        for (value in listOf(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY)) {
            val outputs = expected.mapIndexed { row, sample -> if (row == 7) floatArrayOf(0.9f, value) else sample }
            for (precision in listOf("fp32", "fp16", "int8", "int8-dynamic")) {
                val result = SelfCheck.judge(contract.copy(precision = precision), expected, outputs)
                assertFalse("$value in $precision", result.passed)
                assertEquals(1, result.comparison.notFinite)
                assertEquals(1.0, result.comparison.maxAbsDifference, 0.0)
            }
        }
    }
}
