package org.pmsi.mobile.demo.ui

import android.content.Context
import android.util.AttributeSet
import android.view.Gravity
import android.view.LayoutInflater
import android.view.View
import android.widget.Button
import android.widget.ImageView
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import org.pmsi.mobile.demo.R

/** What the app has to say instead of a screen: what is the matter, and what to do. */
class MessageView(context: Context, attributes: AttributeSet? = null) : ScrollView(context, attributes) {
    private val icon: ImageView
    private val title: TextView
    private val text: TextView
    private val action: Button

    init {
        isFillViewport = true
        val column =
            LinearLayout(context).apply {
                orientation = LinearLayout.VERTICAL
                gravity = Gravity.CENTER
                val padding = resources.getDimensionPixelSize(R.dimen.message_padding)
                setPadding(padding, padding, padding, padding)
            }
        LayoutInflater.from(context).inflate(R.layout.message, column)
        addView(column)
        icon = findViewById(R.id.message_icon)
        title = findViewById(R.id.message_title)
        text = findViewById(R.id.message_text)
        action = findViewById(R.id.message_action)
    }

    /** [label]: of a button that does [act]; null for no button. */
    fun show(icon: Int, title: CharSequence, text: CharSequence, label: CharSequence? = null, act: () -> Unit = {}) {
        visibility = VISIBLE
        this.icon.setImageResource(icon)
        this.title.text = title
        this.text.text = text
        action.text = label
        action.visibility = if (label == null) View.GONE else VISIBLE
        action.setOnClickListener { act() }
    }

    fun hide() {
        visibility = GONE
    }
}
