package org.pmsi.mobile.demo.ui

import android.view.View
import org.pmsi.mobile.demo.contract.ModelEntry

/** One tab of the app. */
interface Screen {
    val view: View

    /** Shows what the session knows now. */
    fun render(model: ModelEntry.Ready)

    /** The screen is in front from now on. */
    fun start(model: ModelEntry.Ready) = Unit

    /** The screen is no longer in front. */
    fun stop() = Unit
}
