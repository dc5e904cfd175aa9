package org.pmsi.mobile.demo.measure

import java.io.File
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.ModelStore
import org.pmsi.mobile.demo.contract.sha256
import org.pmsi.mobile.demo.decodedPng
import org.pmsi.mobile.demo.english
import org.pmsi.mobile.demo.rows
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class BenchmarkTest {
    @get:Rule
    val folder = TemporaryFolder()

    private val device = Device("Example", "Phone 1", "EX1000", "14", 34, "arm64-v8a")
    private val resources = RuntimeEnvironment.getApplication().resources
    private var statuses = ArrayDeque(listOf(0, 1))
    private val store by lazy { ModelStore(listOf(Fixtures.file("models"), Fixtures.file("broken")), folder.root) }
    private val benchmark by lazy { Benchmark(store, ::decodedPng) { statuses.removeFirstOrNull() } }

    @Test
    fun `a result has one latency for each run, and the shape that pmsi-bench reads`() {
        val request = BenchmarkRequest("ckpt.onnx", "onnxruntime", "xnnpack", threads = 2, warmup = 1, runs = 5)
        val done = mutableListOf<Int>()
        val result = benchmark.run(request) { done += it }
        assertNull(result.error)
        assertEquals(listOf(1, 2, 3, 4, 5), done)

        val json = JSONObject(result.toJson("1.0", device, resources).toString())
        assertSameShape(Fixtures.json("app_result.json"), json, "result")
        assertEquals("onnxruntime", json.getString("runtime"))
        assertEquals("cpu", json.getString("delegate"))
        assertTrue(json.getString("delegate_note").startsWith("xnnpack could not be used, ran on cpu: "))
        assertEquals(sha256(Fixtures.file("models/ckpt.onnx")), json.getString("model_sha256"))
        val latencies = json.getJSONArray("latencies_ns").run { List(length(), ::getLong) }
        assertEquals(5, latencies.size)
        assertTrue(latencies.all { it > 0 })
        // Of five runs four are not 90 per cent.
        val shares = listOf(0.0, 0.5, 0.8, 0.9, 1.0)
        val rising = latencies.sorted().map { it / 1e6 }
        assertEquals(listOf(0, 2, 3, 4, 4).map(rising::get), shares.map(result.measurement!!::percentileMs))
        assertTrue(json.getDouble("load_ms") > 0)
        assertTrue(json.getDouble("first_inference_ms") > 0)
        val memory = json.getJSONObject("memory")
        assertTrue(memory.getLong("rss_peak_bytes") >= memory.getLong("rss_before_bytes"))
        assertTrue(memory.getLong("rss_before_bytes") > 1_000_000)
        assertEquals(listOf(0, 1), listOf(json.getInt("thermal_status_before"), json.getInt("thermal_status_after")))
    }

    @Test
    fun `the golden samples of the model have their probabilities in the result`() {
        val result = benchmark.run(BenchmarkRequest("ckpt.onnx", runs = 1)).toJson("1.0", device, resources)
        val golden = store.goldenOf(store.find("ckpt.onnx").contract)!!
        val rows = result.getJSONArray("golden").rows()
        assertEquals(golden.samples.size, rows.size)
        for ((sample, row) in golden.samples.zip(rows)) {
            for (index in row.indices) assertEquals(sample.probabilities[index], row[index], 1e-4f)
        }
    }

    @Test
    fun `a model without golden samples is measured all the same`() {
        Fixtures.file("models/ckpt.onnx").copyTo(File(folder.root, "ckpt.onnx"))
        val alone = Benchmark(ModelStore(listOf(folder.root), folder.root), ::decodedPng) { null }
        val result = alone.run(BenchmarkRequest("ckpt.onnx", runs = 2)).toJson("1.0", device, resources)
        assertTrue(result.isNull("golden"))
        assertTrue(result.isNull("thermal_status_before"))
        assertEquals(2, result.getJSONArray("latencies_ns").length())
    }

    @Test
    fun `what cannot be measured is a result with a sentence, and nothing measured`() {
        val requests =
            mapOf(
                BenchmarkRequest("none.onnx") to "There is no model none.onnx in the app, nor in its models folder.",
                BenchmarkRequest("words.onnx") to "words.onnx is damaged: ",
                BenchmarkRequest("ckpt.onnx", "litert") to "ckpt.onnx is a file for onnxruntime, not for litert.",
                BenchmarkRequest("ckpt.onnx", delegate = "tpu") to
                    "There is no delegate tpu: cpu, gpu, nnapi, xnnpack.",
                BenchmarkRequest("ckpt.onnx", runs = 0) to "A benchmark takes 1 thread and 1 run at least",
                // The tests have only a stub of ExecuTorch.
                BenchmarkRequest("ckpt.pte") to "ExecuTorch cannot open ckpt.pte: "
            )
        for ((request, problem) in requests) {
            val result = benchmark.run(request)
            val error = result.error!!.english
            assertTrue(error, error.startsWith(problem))
            assertNull(result.measurement)
            val json = JSONObject(result.toJson("1.0", device, resources).toString())
            assertEquals(error, json.getString("error"))
            for (key in listOf("latencies_ns", "load_ms", "first_inference_ms", "golden")) assertTrue(json.isNull(key))
        }
    }

    @Test
    fun `a result is written as a whole, over an older one`() {
        val file = File(folder.root, "results/r.json")
        for (error in listOf("first", "second")) {
            val problem = Sentence(R.string.problem_other, error)
            val result = BenchmarkResult(BenchmarkRequest("a.onnx"), null, null, problem)
            BenchmarkResult.write(result.toJson("1.0", device, resources), file)
            assertEquals("That did not work: $error", JSONObject(file.readText()).getString("error"))
            assertEquals(listOf("r.json"), file.parentFile?.list()?.toList())
        }
    }

    @Test
    fun `the model's own runtime and delegate are taken where none is named`() {
        val result = benchmark.run(BenchmarkRequest("ckpt.onnx", runs = 1)).toJson("1.0", device, resources)
        assertEquals(listOf("onnxruntime", "cpu"), listOf(result.getString("runtime"), result.getString("delegate")))
        assertNotNull(result.getString("runtime_version"))
        assertTrue(result.isNull("delegate_note"))
    }

    /** The same keys; numbers where numbers are, lists of numbers where those are. */
    private fun assertSameShape(expected: JSONObject, actual: JSONObject, where: String) {
        assertEquals(where, expected.keys().asSequence().toSet(), actual.keys().asSequence().toSet())
        for (key in expected.keys()) {
            val value = expected.get(key)
            if (value is JSONObject) {
                assertSameShape(value, actual.getJSONObject(key), "$where.$key")
            } else if (value is Number) {
                assertTrue("$where.$key", actual.get(key) is Number)
            }
        }
    }
}
