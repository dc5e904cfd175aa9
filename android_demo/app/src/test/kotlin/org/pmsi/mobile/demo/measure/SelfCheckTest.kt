package org.pmsi.mobile.demo.measure

import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ContractReader
import org.pmsi.mobile.demo.contract.ModelStore
import org.pmsi.mobile.demo.decodedPng
import org.pmsi.mobile.demo.english
import org.pmsi.mobile.demo.rows
import org.pmsi.mobile.demo.runtime.Delegate
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class SelfCheckTest {
    private val judgements by lazy { Fixtures.json("judgements.json") }
    private val store by lazy { ModelStore(listOf(Fixtures.file("models")), Fixtures.file("models")) }

    @Test
    fun `the gates are those of pmsi-export`() {
        val gates = judgements.getJSONObject("gates")
        for (precision in gates.keys()) {
            val expected = gates.getJSONObject(precision)
            val gate = Gate.of(precision)
            assertEquals(expected.opt("max_abs_difference"), gate.maxAbsDifference ?: JSONObject.NULL)
            assertEquals(expected.opt("top1_agreement"), gate.top1Agreement ?: JSONObject.NULL)
            assertEquals(expected.opt("sqnr_db").toDouble(), gate.sqnrDb)
            assertEquals(expected.opt("confident_agreement"), gate.confidentAgreement ?: JSONObject.NULL)
        }
    }

    @Test
    fun `probabilities are compared and judged as pmsi-export does`() {
        val reference = judgements.getJSONArray("reference").rows()
        val cases = judgements.getJSONArray("cases")
        for (case in List(cases.length(), cases::getJSONObject)) {
            val outputs = case.getJSONArray("outputs").rows()
            val expected = case.getJSONObject("agreement")
            val misses = case.getJSONObject("misses")
            for (precision in misses.keys()) {
                val contract = anyContract().copy(precision = precision, topK = if (case.isNull("top_k")) null else 3)
                val result = SelfCheck.judge(contract, reference, outputs)
                val comparison = result.comparison
                assertEquals(expected.getDouble("max_abs_difference"), comparison.maxAbsDifference, 1e-6)
                assertEquals(expected.getDouble("top1_agreement"), comparison.top1Agreement, 1e-6)
                assertEquals(expected.getDouble("confident_agreement"), comparison.confidentAgreement!!, 1e-6)
                if (expected.isNull("sqnr_db")) {
                    assertEquals(null, comparison.sqnrDb)
                } else {
                    assertEquals(expected.getDouble("sqnr_db"), comparison.sqnrDb!!, 1e-4)
                }
                assertEquals(expected.getInt("confident_images"), comparison.samples.count { it.confident })
                assertEquals(misses.getJSONArray(precision).length(), result.misses.size)
                assertEquals(result.misses.isEmpty(), result.passed)
            }
        }
    }

    @Test
    fun `golden samples pass through the runtime, and those of another network fail by what they differ`() {
        for (name in listOf("ckpt.onnx", "ckpt-int8.onnx", "ckpt-top3.onnx")) {
            val model = store.find(name)
            val golden = store.goldenOf(model.contract)!!
            model.runtime.open(model.file, model.contract, Delegate.CPU, 1).use { classifier ->
                val done = mutableListOf<Int>()
                val result = SelfCheck.run(classifier, golden, ::decodedPng) { done += it }
                assertTrue("$name: ${result.misses.map { it.english }}", result.passed)
                assertEquals((1..golden.samples.size).toList(), done)

                val shuffled =
                    Golden(
                        golden.checkpointSha256,
                        golden.head,
                        golden.side,
                        golden.samples.mapIndexed { index, sample ->
                            GoldenSample(sample.png, golden.samples[(index + 1) % golden.samples.size].probabilities)
                        }
                    )
                val failed = SelfCheck.run(classifier, shuffled, ::decodedPng)
                assertFalse(failed.passed)
                val misses = failed.misses.map { it.english }
                val missed = Regex("difference .* > |signal to noise .* < ")
                assertTrue("$misses", misses.any(missed::containsMatchIn))
            }
        }
    }

    private fun anyContract(): Contract = ContractReader.read(Fixtures.models(".onnx").keys.first())

    private fun Any.toDouble(): Double? = (this as? Number)?.toDouble()
}
