package org.pmsi.mobile.demo

import android.app.Activity
import android.content.Intent
import android.os.Build
import android.os.Bundle
import android.view.View
import android.widget.ProgressBar
import android.widget.TextView
import java.io.File
import org.pmsi.mobile.demo.measure.BenchmarkRequest
import org.pmsi.mobile.demo.measure.BenchmarkResult
import org.pmsi.mobile.demo.measure.thisDevice
import org.pmsi.mobile.demo.ui.BenchmarkResultView

/**
 * The benchmark over adb: measures what the intent's extras say, and writes the result to the app's `files/results`.
 *
 * A request that comes while another one is measured is measured after it. The manifest lets only adb's shell, which
 * holds the permission DUMP, and the system start it.
 */
class BenchmarkActivity : Activity() {
    private lateinit var session: Session

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.O_MR1) {
            setShowWhenLocked(true)
            setTurnScreenOn(true)
        }
        setContentView(R.layout.benchmark_run)
        session = Session(applicationContext)
        // What was asked for is measured once.
        if (savedInstanceState == null) measure(intent) else finish()
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        measure(intent)
    }

    override fun onDestroy() {
        super.onDestroy()
        session.close()
    }

    private fun measure(intent: Intent) {
        val defaults = BenchmarkRequest("")
        val request =
            BenchmarkRequest(
                model = intent.getStringExtra("model").orEmpty(),
                runtime = intent.getStringExtra("runtime"),
                delegate = intent.getStringExtra("delegate"),
                threads = intent.getIntExtra("threads", defaults.threads),
                warmup = intent.getIntExtra("warmup", defaults.warmup),
                runs = intent.getIntExtra("runs", defaults.runs)
            )
        val name = File(intent.getStringExtra("result") ?: "benchmark.json").name
        findViewById<TextView>(R.id.model_name).text = request.model
        tell(getString(R.string.benchmark_starts))
        progress(0, request.runs)
        session.background({ run(request, name) }) { written ->
            findViewById<View>(R.id.progress).visibility = View.INVISIBLE
            written.fold(
                { (result, file) ->
                    tell(getString(R.string.benchmark_written, file.path))
                    BenchmarkResultView(window.decorView).show(result)
                },
                { tell(getString(R.string.benchmark_unwritten, sentenceOf(it).text(resources))) }
            )
        }
    }

    private fun run(request: BenchmarkRequest, name: String): Pair<BenchmarkResult, File> {
        val result =
            if (request.model.isEmpty()) {
                BenchmarkResult(request, null, null, Sentence(R.string.benchmark_no_model))
            } else {
                session.measured(request) { done -> runOnUiThread { progress(done, request.runs) } }
            }
        val file = File(getExternalFilesDir("results"), name)
        val version = packageManager.getPackageInfo(packageName, 0).versionName.orEmpty()
        BenchmarkResult.write(result.toJson(version, thisDevice(), resources), file)
        return result to file
    }

    private fun progress(done: Int, runs: Int) {
        findViewById<ProgressBar>(R.id.progress).apply {
            visibility = View.VISIBLE
            max = runs
            progress = done
        }
        if (done > 0) tell(getString(R.string.benchmark_status, done, runs))
    }

    private fun tell(text: String) {
        findViewById<TextView>(R.id.status).text = text
    }
}
