package org.pmsi.mobile.demo

import org.junit.Assert.assertEquals
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class MainActivityTest {
    @Test
    fun `the app has its name`() {
        val activity = Robolectric.buildActivity(MainActivity::class.java).setup().get()
        assertEquals("PMSI demo", activity.getString(R.string.app_name))
    }
}
