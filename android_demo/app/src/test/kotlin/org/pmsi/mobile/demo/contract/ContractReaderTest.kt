package org.pmsi.mobile.demo.contract

import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.english
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
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
            assertEquals(expected.getJSONObject("output").has("unknown_score"), contract.givesUnknownScore)
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
            val said = problem.sentence.english
            assertTrue("$name: $said", said.startsWith(name))
            assertTrue("$name: $said", problems.getString(name) in said)
        }
    }

    @Test
    fun `a contract with a digest of itself is protected, one that was written before is not`() {
        assertTrue("pmsi-export's own", ContractReader.read(Fixtures.file("models/ckpt-top3.tflite")).isProtected)
        val protected = checkNotNull(Fixtures.file("protected").listFiles()).map(ContractReader::read)
        assertEquals(setOf("tflite", "onnx", "executorch"), protected.map { it.format }.toSet())
        assertEquals(listOf(true), protected.map { it.isProtected }.distinct())
        // ONNX files have always had a digest of all that is in them.
        val before = checkNotNull(Fixtures.file("unprotected").listFiles()).map(ContractReader::read)
        assertEquals(
            mapOf("tflite" to false, "onnx" to true, "executorch" to false),
            before.associate {
                it.format to it.isProtected
            }
        )
    }

    @Test
    fun `what is promised of answers is read, and nothing is promised without it`() {
        val models = listOf("unsure", "sure").map { Fixtures.file("confidence/$it.onnx") }
        val promised = models.map { ContractReader.read(it).sureFrom }
        assertEquals(listOf(1.0, 0.0), promised)
        assertEquals(null, ContractReader.read(Fixtures.file("assets/models/ckpt.onnx")).sureFrom)
    }

    @Test
    fun `a photo is none of the classes above the threshold of its score, and never without one`() {
        val (none, unscored) = listOf("none", "sure").map { ContractReader.read(Fixtures.file("confidence/$it.onnx")) }
        assertEquals(Unknown(kept = 0.95, threshold = -1e6), none.unknown)
        val atThreshold = none.copy(unknown = Unknown(kept = 0.95, threshold = -2.0))
        assertEquals(
            listOf(false, false, true, false),
            listOf(-3f, -2f, -1f, null).map(atThreshold::isNone)
        )
        assertEquals(null, unscored.unknown)
        assertEquals(false, unscored.isNone(9f))
        val before = ContractReader.read(Fixtures.file("confidence/without-threshold.onnx"))
        assertEquals(listOf(true, false), listOf(before.givesUnknownScore, before.isNone(9f)))
    }

    @Test
    fun `a contract of a million brackets is refused`() {
        val json = "{\"schema_version\":" + "[".repeat(1_000_000)
        val problem = assertThrows(ModelProblem::class.java) { Contract.parse(json, "a.onnx", sealed = true) }
        assertEquals(
            "a.onnx has a contract that cannot be read (too many parts inside each other). Export it again.",
            problem.sentence.english
        )
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
