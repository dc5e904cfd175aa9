package org.pmsi.mobile.demo.measure

import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.contract.ModelEntry
import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.contract.ModelStore
import org.pmsi.mobile.demo.contract.sha256
import org.pmsi.mobile.demo.reasonOf
import org.pmsi.mobile.demo.runtime.CHANNELS
import org.pmsi.mobile.demo.runtime.Classifier
import org.pmsi.mobile.demo.runtime.Delegate

/** What to measure. [runtime] and [delegate] are names; null: what fits the model. */
data class BenchmarkRequest(
    val model: String,
    val runtime: String? = null,
    val delegate: String? = null,
    val threads: Int = 4,
    val warmup: Int = 10,
    val runs: Int = 50
)

/**
 * Times a model of the store.
 *
 * [pixelsOf]: decodes a PNG to R, G and B of each pixel. [thermalStatus]: `PowerManager.currentThermalStatus`, null
 * where there is none.
 */
class Benchmark(
    private val store: ModelStore,
    private val pixelsOf: (ByteArray) -> ByteArray,
    private val thermalStatus: () -> Int?
) {
    /** Measures; a failure is a result too. [progress]: called with the number of runs done. */
    fun run(request: BenchmarkRequest, progress: (Int) -> Unit = {}): BenchmarkResult {
        var digest: String? = null
        return try {
            val model = store.find(request.model)
            digest = sha256(model.file)
            val plan = plan(request, model)
            val named = request.copy(runtime = model.runtime.id)
            BenchmarkResult(named, digest, measure(request, model, plan, progress), null)
        } catch (problem: ModelProblem) {
            BenchmarkResult(request, digest, null, problem.sentence)
        } catch (_: OutOfMemoryError) {
            BenchmarkResult(request, digest, null, Sentence(R.string.model_memory, request.model))
        } catch (@Suppress("TooGenericExceptionCaught") error: Exception) { // Each runtime throws its own.
            BenchmarkResult(request, digest, null, Sentence(R.string.model_fails_why, request.model, reasonOf(error)))
        }
    }

    private fun plan(request: BenchmarkRequest, model: ModelEntry.Ready): Delegate {
        val runtime = model.runtime
        val problem =
            when {
                request.runtime != null && request.runtime != runtime.id ->
                    Sentence(R.string.request_runtime, request.model, runtime.id, request.runtime)
                request.delegate != null && Delegate.of(request.delegate) == null ->
                    Sentence(R.string.request_delegate, request.delegate, Delegate.entries.joinToString { it.id })
                request.threads < 1 || request.runs < 1 || request.warmup < 0 ->
                    Sentence(R.string.request_numbers)
                else -> null
            }
        if (problem != null) throw ModelProblem(problem)
        return request.delegate?.let(Delegate::of) ?: runtime.delegates.first()
    }

    private fun measure(
        request: BenchmarkRequest,
        model: ModelEntry.Ready,
        delegate: Delegate,
        progress: (Int) -> Unit
    ): Measurement {
        val golden = store.goldenOf(model.contract)
        val images = golden?.samples?.map { pixelsOf(it.png) }
        val side = model.contract.crop
        val image = images?.firstOrNull() ?: ByteArray(side * side * CHANNELS) { it.toByte() }
        val thermalBefore = thermalStatus()
        val rssBefore = residentBytes()
        val begun = System.nanoTime()
        return model.runtime.open(model.file, model.contract, delegate, request.threads).use { classifier ->
            val loadNs = System.nanoTime() - begun
            classifier.prepare(image)
            val firstNs = nanosecondsOf(classifier)
            repeat(request.warmup) { classifier.run() }
            val latencies = List(request.runs) { run -> nanosecondsOf(classifier).also { progress(run + 1) } }
            classifier.requireProbabilities(classifier.run())
            Measurement(
                runtimeVersion = model.runtime.version,
                delegate = classifier.delegate,
                delegateNote = classifier.note,
                loadMs = loadNs / NANOSECONDS_PER_MS,
                firstInferenceMs = firstNs / NANOSECONDS_PER_MS,
                latenciesNs = latencies,
                rssBeforeBytes = rssBefore,
                rssPeakBytes = peakResidentBytes(),
                thermalStatusBefore = thermalBefore,
                thermalStatusAfter = thermalStatus(),
                golden = images?.map { classifier.classify(it).copyOf() }
            )
        }
    }

    private fun nanosecondsOf(classifier: Classifier): Long {
        val begun = System.nanoTime()
        classifier.run()
        return System.nanoTime() - begun
    }

    private companion object {
        const val NANOSECONDS_PER_MS = 1e6
    }
}
