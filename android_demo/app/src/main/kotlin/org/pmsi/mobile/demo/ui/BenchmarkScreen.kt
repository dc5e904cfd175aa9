package org.pmsi.mobile.demo.ui

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.AdapterView
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.ProgressBar
import android.widget.Spinner
import android.widget.TextView
import org.pmsi.mobile.demo.BenchmarkState
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Session
import org.pmsi.mobile.demo.contract.ModelEntry
import org.pmsi.mobile.demo.runtime.Delegate

/** Times the model on this device. */
class BenchmarkScreen(private val activity: Activity, private val session: Session, parent: ViewGroup) : Screen {
    override val view: View = activity.layoutInflater.inflate(R.layout.benchmark, parent, false)

    private val runtime = view.findViewById<TextView>(R.id.runtime)
    private val delegate = view.findViewById<Spinner>(R.id.delegate)
    private val threads = view.findViewById<Spinner>(R.id.threads)
    private val runs = view.findViewById<Spinner>(R.id.runs)
    private val run = view.findViewById<Button>(R.id.run)
    private val progress = view.findViewById<ProgressBar>(R.id.progress)
    private val result = BenchmarkResultView(view)
    private var model: ModelEntry.Ready? = null

    init {
        run.setOnClickListener { session.runBenchmark() }
        val cores = Runtime.getRuntime().availableProcessors()
        offer(threads, THREADS.filter { it <= cores }, session.options.threads) {
            session.options = session.options.copy(threads = it)
        }
        offer(runs, RUNS, session.options.runs) { session.options = session.options.copy(runs = it) }
    }

    override fun render(model: ModelEntry.Ready) {
        if (this.model !== model) {
            this.model = model
            offerDelegates(model)
        }
        val state = session.benchmark
        val running = state as? BenchmarkState.Running
        for (control in listOf(run, delegate, threads, runs)) control.isEnabled = running == null
        progress.visibility = if (running == null) View.GONE else View.VISIBLE
        running?.let {
            progress.max = it.runs
            progress.progress = it.done
        }
        run.setText(if (running == null) R.string.benchmark_run else R.string.benchmark_running)
        result.show((state as? BenchmarkState.Done)?.result)
    }

    private fun offerDelegates(model: ModelEntry.Ready) {
        val version = model.runtime.version.orEmpty()
        runtime.text = activity.getString(R.string.benchmark_runtime, model.runtime.title, version).trim()
        val chosen = session.options.delegate ?: model.runtime.delegates.first()
        offer(delegate, model.runtime.delegates, chosen, Delegate::title) {
            session.options =
                session.options.copy(delegate = it)
        }
    }

    private fun <T> offer(
        spinner: Spinner,
        values: List<T>,
        chosen: T,
        title: (T) -> String = { it.toString() },
        onChoice: (T) -> Unit
    ) {
        spinner.adapter =
            ArrayAdapter(activity, android.R.layout.simple_spinner_item, values.map(title)).apply {
                setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item)
            }
        spinner.setSelection(maxOf(values.indexOf(chosen), 0))
        spinner.onItemSelectedListener =
            object : AdapterView.OnItemSelectedListener {
                override fun onItemSelected(parent: AdapterView<*>?, item: View?, position: Int, id: Long) =
                    onChoice(values[position])

                override fun onNothingSelected(parent: AdapterView<*>?) = Unit
            }
    }

    private companion object {
        val THREADS = listOf(1, 2, 4, 6, 8)
        val RUNS = listOf(20, 50, 200, 1000)
    }
}
