package org.pmsi.mobile.demo.measure

import android.content.res.Resources
import java.io.File
import java.io.IOException
import kotlin.math.ceil
import org.json.JSONArray
import org.json.JSONObject
import org.pmsi.mobile.demo.Problem
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.runtime.Delegate

/** The version of the result file. */
private const val RESULT_VERSION = 1

/**
 * What was measured. Times are of the runtime alone: the image lies in its input already.
 *
 * [delegate], [delegateNote]: what it really ran on, and why that is not what was asked for. [golden]: probabilities of
 * the golden samples; null where there are none.
 */
data class Measurement(
    val runtimeVersion: String?,
    val delegate: Delegate,
    val delegateNote: Sentence?,
    val loadMs: Double,
    val firstInferenceMs: Double,
    val latenciesNs: List<Long>,
    val rssBeforeBytes: Long?,
    val rssPeakBytes: Long?,
    val thermalStatusBefore: Int?,
    val thermalStatusAfter: Int?,
    val golden: List<FloatArray>?
) {
    /** The latency that at least [share] (0..1) of the runs did not exceed, in milliseconds. */
    fun percentileMs(share: Double): Double {
        val sorted = latenciesNs.sorted()
        return sorted[maxOf(ceil(sorted.size * share).toInt() - 1, 0)] / NANOSECONDS_PER_MS
    }

    private companion object {
        const val NANOSECONDS_PER_MS = 1e6
    }
}

/** The device in words. */
data class Device(
    val manufacturer: String,
    val model: String,
    val soc: String,
    val android: String,
    val sdk: Int,
    val abi: String
)

/** What came of a request: a measurement, or [error]. */
class BenchmarkResult(
    val request: BenchmarkRequest,
    val modelSha256: String?,
    val measurement: Measurement?,
    val error: Sentence?
) {
    /** As pmsi-bench reads it, sentences in the language of [resources]. */
    fun toJson(appVersion: String, device: Device, resources: Resources): JSONObject = json(
        "schema_version" to RESULT_VERSION,
        "app_version" to appVersion,
        "model" to request.model,
        "model_sha256" to modelSha256,
        "runtime" to request.runtime.orEmpty(),
        "runtime_version" to measurement?.runtimeVersion,
        "delegate" to (measurement?.delegate?.id ?: request.delegate.orEmpty()),
        "delegate_note" to measurement?.delegateNote?.text(resources),
        "threads" to request.threads,
        "load_ms" to measurement?.loadMs,
        "first_inference_ms" to measurement?.firstInferenceMs,
        "warmup" to request.warmup,
        "latencies_ns" to measurement?.latenciesNs?.let { JSONArray(it) },
        "memory" to
            json("rss_before_bytes" to measurement?.rssBeforeBytes, "rss_peak_bytes" to measurement?.rssPeakBytes),
        "thermal_status_before" to measurement?.thermalStatusBefore,
        "thermal_status_after" to measurement?.thermalStatusAfter,
        "device" to
            json(
                "manufacturer" to device.manufacturer,
                "model" to device.model,
                "soc" to device.soc,
                "android" to device.android,
                "sdk" to device.sdk,
                "abi" to device.abi
            ),
        "golden" to
            measurement?.golden?.let { JSONArray(it.map { probabilities -> JSONArray(probabilities.toList()) }) },
        "error" to error?.text(resources)
    )

    companion object {
        /** Writes [json] to [file] in one step: who sees the file sees all of it. Throws [IOException] or [Problem]. */
        fun write(json: JSONObject, file: File) {
            val part = File(file.path + ".part")
            file.absoluteFile.parentFile?.mkdirs()
            part.writeText(json.toString())
            if (!part.renameTo(file)) throw Problem(Sentence(R.string.file_unwritten, file.path))
        }
    }
}

private fun json(vararg entries: Pair<String, Any?>): JSONObject =
    JSONObject().apply { for ((key, value) in entries) put(key, value ?: JSONObject.NULL) }
