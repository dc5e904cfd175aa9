package org.pmsi.mobile.demo.contract

import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.pmsi.mobile.demo.Fixtures

class ContractReaderTest {
    @Test
    fun `a contract says in the app what it says in Python`() {
        val models = Fixtures.models("")
        assertEquals(setOf("tflite", "onnx", "pte"), models.keys.map { it.extension }.toSet())
        for ((file, python) in models) {
            val expected = python.getJSONObject("contract")
            val contract = ContractReader.read(file)
            assertEquals(expected.getString("format"), contract.format)
            assertEquals(expected.getString("precision"), contract.precision)
            assertEquals(expected.getString("minimum_runtime"), contract.minimumRuntime)
            assertEquals(expected.getString("checkpoint_sha256"), contract.checkpointSha256)
            assertEquals(expected.getString("created"), contract.created)
            assertEquals(
                expected.getJSONArray("classes").join("|"),
                JSONObject.wrap(contract.classes).toString().inner()
            )
            val input = expected.getJSONObject("input")
            assertEquals(input.getString("layout"), contract.layout.name)
            assertEquals(input.getString("dtype"), contract.dtype.name.lowercase())
            val preprocessing = expected.getJSONObject("preprocessing")
            assertEquals(preprocessing.getInt("resize"), contract.resize)
            assertEquals(preprocessing.getInt("crop"), contract.crop)
            assertEquals(expected.getJSONObject("output").opt("top_k"), contract.topK ?: JSONObject.NULL)
            assertEquals(expected.opt("mix"), contract.mix ?: JSONObject.NULL)
            val parity = expected.getJSONObject("parity")
            assertEquals(parity.getString("status"), contract.parity.status)
            assertEquals(
                parity.optJSONObject("golden")?.getDouble("max_abs_difference"),
                contract.parity.golden?.maxAbsDifference
            )
            val network = expected.getJSONObject("model")
            assertEquals(network.getString("backbone"), contract.network.backbone)
            assertEquals(network.getInt("stages"), contract.network.stages)
        }
    }

    @Test
    fun `a file that is broken, bare or too new is refused with a sentence that says why`() {
        val problems = Fixtures.json("broken/problems.json")
        assertTrue(problems.length() > 20)
        for (name in problems.keys()) {
            val problem =
                assertThrows(name, ModelProblem::class.java) { ContractReader.read(Fixtures.file("broken/$name")) }
            assertTrue("$name: ${problem.message}", problem.message.startsWith(name))
            assertTrue("$name: ${problem.message}", problems.getString(name) in problem.message)
        }
    }

    @Test
    fun `a file cut off anywhere is refused`() {
        for (file in Fixtures.models("").keys.filter { it.nameWithoutExtension == "ckpt" }) {
            val content = file.readBytes()
            val cut = Fixtures.file("cut.${file.extension}")
            for (length in 0 until content.size step content.size / 40) {
                cut.writeBytes(content.copyOf(length))
                assertThrows("$cut $length", ModelProblem::class.java) { ContractReader.read(cut) }
            }
            cut.delete()
        }
    }

    private fun String.inner() = removeSurrounding("[", "]").replace("\",\"", "\"|\"")
}
