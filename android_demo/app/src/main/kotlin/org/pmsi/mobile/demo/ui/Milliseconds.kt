package org.pmsi.mobile.demo.ui

import android.content.res.Resources
import org.pmsi.mobile.demo.R

/** A time as people read it: three digits where it has as many. */
fun milliseconds(resources: Resources, value: Double): String =
    resources.getString(if (value < FEW) R.string.milliseconds_few else R.string.milliseconds, value)

private const val FEW = 9.995
