package org.pmsi.mobile.demo.ui

import android.app.Activity
import android.graphics.Bitmap
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import org.pmsi.mobile.demo.CheckState
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.Session
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelEntry
import org.pmsi.mobile.demo.measure.SampleComparison

/** Whether this device computes what the training network computed. */
class CheckScreen(
    private val activity: Activity,
    private val session: Session,
    parent: ViewGroup,
    private val openFile: () -> Unit
) : Screen {
    override val view: View = activity.layoutInflater.inflate(R.layout.check, parent, false)

    private val body = view.findViewById<View>(R.id.body)
    private val run = view.findViewById<Button>(R.id.run)
    private val verdict = view.findViewById<View>(R.id.verdict)
    private val title = view.findViewById<TextView>(R.id.verdict_title)
    private val text = view.findViewById<TextView>(R.id.verdict_text)
    private val samples = view.findViewById<ViewGroup>(R.id.samples)
    private val message = view.findViewById<MessageView>(R.id.message)
    private var shown: CheckState = CheckState.None

    init {
        run.setOnClickListener { session.runCheck() }
    }

    override fun render(model: ModelEntry.Ready) {
        val state = session.check
        run.isEnabled = state != CheckState.Running
        run.setText(if (state == CheckState.Running) R.string.check_running else R.string.check_run)
        if (state === shown) return
        shown = state
        message.hide()
        body.visibility = View.VISIBLE
        verdict.visibility = if (state is CheckState.Done) View.VISIBLE else View.GONE
        samples.visibility = verdict.visibility
        when (state) {
            is CheckState.Done -> show(state, model.contract)
            is CheckState.Failed ->
                say(
                    R.drawable.ic_problem,
                    R.string.model_fails,
                    words(state.problem),
                    R.string.again,
                    session::runCheck
                )
            is CheckState.NoGolden -> {
                val text = (listOf(activity.getString(R.string.check_no_golden)) + state.problems.map(::words))
                    .joinToString("\n\n")
                say(R.drawable.ic_check, R.string.check_no_golden_title, text, R.string.models_open, openFile)
            }
            else -> Unit
        }
    }

    private fun say(icon: Int, title: Int, text: String, label: Int, act: () -> Unit) {
        body.visibility = View.INVISIBLE
        message.show(icon, activity.getText(title), text, activity.getText(label), act)
    }

    private fun show(state: CheckState.Done, contract: Contract) {
        val result = state.result
        title.setText(if (result.passed) R.string.check_passed else R.string.check_failed)
        title.setTextColor(activity.getColor(if (result.passed) R.color.good else R.color.bad))
        verdict.setBackgroundResource(if (result.passed) R.drawable.card_good else R.drawable.card_bad)
        val comparison = result.comparison
        val count = comparison.samples.size
        text.text =
            listOfNotNull(
                activity.getString(
                    R.string.check_gate,
                    contract.precision,
                    result.gate.bounds.joinToString(transform = ::words)
                ),
                result.misses.joinToString("\n", transform = ::words).ifEmpty { null },
                activity.resources.getQuantityString(R.plurals.images, count, count),
                activity.getString(
                    R.string.details_same,
                    activity.getString(
                        R.string.percent,
                        comparison.top1Agreement * PER_CENT
                    )
                ),
                activity.getString(R.string.details_difference, comparison.maxAbsDifference),
                comparison.sqnrDb?.let { activity.getString(R.string.details_sqnr, it) }
            ).joinToString("\n")
        samples.removeAllViews()
        comparison.samples.zip(state.images) { sample, image -> samples.addView(row(sample, image, contract)) }
    }

    private fun words(sentence: Sentence) = sentence.text(activity.resources)

    private fun row(sample: SampleComparison, image: Bitmap, contract: Contract): View {
        val row = activity.layoutInflater.inflate(R.layout.sample, samples, false)
        row.findViewById<ImageView>(R.id.sample_image).setImageBitmap(image)
        val expected = contract.classes[sample.expectedTop1]
        val name = row.findViewById<TextView>(R.id.sample_class)
        if (sample.top1 == sample.expectedTop1) {
            name.text = expected
        } else {
            name.text = activity.getString(R.string.check_other, contract.classes[sample.top1], expected)
            name.setTextColor(activity.getColor(R.color.bad))
        }
        row.findViewById<TextView>(R.id.sample_difference).text =
            activity.getString(R.string.details_difference, sample.maxAbsDifference)
        return row
    }

    private companion object {
        const val PER_CENT = 100
    }
}
