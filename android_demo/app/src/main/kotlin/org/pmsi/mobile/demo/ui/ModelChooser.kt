package org.pmsi.mobile.demo.ui

import android.app.Activity
import android.app.AlertDialog
import android.view.View
import android.view.ViewGroup
import android.widget.ArrayAdapter
import android.widget.TextView
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.contract.ModelEntry

/** What a model is, in a few words, or what is wrong with it. */
fun summary(activity: Activity, entry: ModelEntry): String = when (entry) {
    is ModelEntry.Broken -> entry.problem.text(activity.resources)
    is ModelEntry.Ready -> {
        val count = entry.contract.classes.size
        val classes = activity.resources.getQuantityString(R.plurals.classes, count, count)
        activity.getString(
            R.string.model_summary,
            entry.contract.precision,
            classes,
            entry.contract.crop,
            entry.runtime.title
        )
    }
}

/** The dialog that chooses one of several models, or opens a file. */
fun modelChooser(
    activity: Activity,
    entries: List<ModelEntry>,
    onChoice: (ModelEntry) -> Unit,
    open: () -> Unit
): AlertDialog {
    val rows =
        object : ArrayAdapter<ModelEntry>(activity, R.layout.model_row, entries) {
            override fun getView(position: Int, recycled: View?, parent: ViewGroup): View {
                val row = recycled ?: activity.layoutInflater.inflate(R.layout.model_row, parent, false)
                val entry = entries[position]
                row.findViewById<TextView>(R.id.model_name).text = entry.file.name
                row.findViewById<TextView>(R.id.model_summary).apply {
                    text = summary(activity, entry)
                    setTextColor(activity.getColor(if (entry is ModelEntry.Broken) R.color.bad else R.color.secondary))
                }
                return row
            }
        }
    return AlertDialog
        .Builder(activity)
        .setTitle(R.string.models_title)
        .setAdapter(rows) { _, position -> onChoice(entries[position]) }
        .setPositiveButton(R.string.models_open) { _, _ -> open() }
        .setNegativeButton(R.string.close, null)
        .create()
}
