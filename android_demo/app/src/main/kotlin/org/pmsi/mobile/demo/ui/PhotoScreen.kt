package org.pmsi.mobile.demo.ui

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.Button
import android.widget.ImageView
import android.widget.TextView
import org.pmsi.mobile.demo.PhotoState
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Session
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.contract.ModelEntry

/** One photo, and what the network takes it for. */
class PhotoScreen(
    private val activity: Activity,
    private val session: Session,
    parent: ViewGroup,
    choose: () -> Unit,
    take: () -> Unit
) : Screen {
    override val view: View = activity.layoutInflater.inflate(R.layout.photo, parent, false)

    private val photo = view.findViewById<ImageView>(R.id.photo)
    private val message = view.findViewById<MessageView>(R.id.message)
    private val results = view.findViewById<View>(R.id.results)
    private val top = view.findViewById<TopList>(R.id.top)
    private val times = view.findViewById<TextView>(R.id.times)

    init {
        view.findViewById<Button>(R.id.choose).setOnClickListener { choose() }
        view.findViewById<Button>(R.id.take).setOnClickListener { take() }
    }

    override fun render(model: ModelEntry.Ready) {
        val state = session.photo
        results.visibility = if (state is PhotoState.Classified) View.VISIBLE else View.GONE
        when (state) {
            PhotoState.None -> say(
                R.drawable.ic_photo,
                R.string.photo_none_title,
                activity.getString(R.string.photo_none)
            )
            PhotoState.Working -> say(R.drawable.ic_photo, R.string.photo_working, "")
            is PhotoState.Failed -> say(
                R.drawable.ic_problem,
                if (state.ofModel) R.string.model_fails else R.string.photo_problem,
                state.problem.text(activity.resources)
            )
            is PhotoState.Classified -> show(state, model.contract)
        }
    }

    private fun say(icon: Int, title: Int, text: String) {
        photo.setImageDrawable(null)
        message.show(icon, activity.getText(title), text)
    }

    private fun show(state: PhotoState.Classified, contract: Contract) {
        message.hide()
        photo.setImageBitmap(state.preview)
        state.guesses.forEachIndexed { rank, guess -> top.show(rank, guess.name, guess.probability) }
        top.clearFrom(state.guesses.size)
        val first = state.guesses.first()
        top.judge(contract, state.isNone, first.name, first.probability, state.guesses.getOrNull(1)?.name)
        times.text =
            activity.getString(R.string.photo_times, milliseconds(state.networkNs), milliseconds(state.resizeNs))
    }

    private fun milliseconds(nanoseconds: Long) = milliseconds(activity.resources, nanoseconds / NS_PER_MS)

    private companion object {
        const val NS_PER_MS = 1e6
    }
}
