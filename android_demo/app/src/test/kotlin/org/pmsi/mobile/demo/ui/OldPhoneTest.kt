package org.pmsi.mobile.demo.ui

import android.content.Intent
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.R
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog

/** The oldest Android that the app is for: whatever is newer in the framework is missing here. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [26], qualifiers = "w360dp-h640dp-xhdpi")
class OldPhoneTest {
    private val phone = Phone()

    private fun assertShows(part: String) = assertTrue("'$part' is not in:\n${phone.text}", part in phone.text)

    @Test
    fun `every screen works`() {
        Phone.assumeModels()
        phone.open(R.id.tab_photo)
        phone.choose(Fixtures.file("photos/drawn-1.jpg"))
        assertShows("in the network")
        phone.tap(R.id.tab_benchmark)
        phone.tap(R.id.run)
        assertShows("Median latency")
        phone.picture("android-8")
        phone.tap(R.id.tab_details)
        assertShows("Precision")
        phone.tap(R.id.tab_check)
        phone.tap(R.id.run)
        assertShows("Gate for")
        phone.tap(R.id.tab_camera)
        assertShows("No camera here")
        phone.tap(R.id.model)
        assertTrue(ShadowDialog.getLatestDialog().isShowing)
        phone.turn()
        assertShows("No camera here")
    }

    @Test
    fun `photos come from the system's documents`() {
        Phone.assumeModels()
        phone.open(R.id.tab_photo)
        phone.tap(R.id.choose)
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, shadowOf(phone.activity).nextStartedActivity.action)
    }
}
