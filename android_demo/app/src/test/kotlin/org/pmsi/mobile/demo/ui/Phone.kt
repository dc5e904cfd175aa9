package org.pmsi.mobile.demo.ui

import android.content.Context
import android.content.Intent
import android.graphics.Bitmap
import android.graphics.Canvas
import android.net.Uri
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import java.io.ByteArrayInputStream
import java.io.File
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import org.junit.Assert.assertTrue
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.MainActivity
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Session
import org.robolectric.Robolectric
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController

/** The app on a simulated phone, as a person sees it. */
class Phone {
    private var controller: ActivityController<MainActivity>? = null

    val app: Context = RuntimeEnvironment.getApplication()
    val activity: MainActivity get() = controller!!.get()
    val session: Session get() = activity.onRetainNonConfigurationInstance() as Session

    /** The screen in front. */
    val screen: Screen get() = activity.current!!

    /** All text on the screen, from top to bottom. */
    val text: String get() = texts(activity.window.decorView).joinToString("\n")

    /** Opens the app, on [tab]. */
    fun open(tab: Int = R.id.tab_photo, intent: Intent? = null): Phone {
        controller = Robolectric.buildActivity(MainActivity::class.java, intent).setup()
        settle()
        tap(tab)
        return this
    }

    /** Waits until all that was begun has ended. */
    fun settle(session: Session = this.session) {
        repeat(ROUNDS) {
            val idle = CountDownLatch(1)
            session.worker.post(idle::countDown)
            assertTrue("the app is still at work", idle.await(1, TimeUnit.MINUTES))
            shadowOf(Looper.getMainLooper()).idle()
        }
    }

    fun tap(id: Int) {
        shown(activity.window.decorView).first { it.id == id }.performClick()
        settle()
    }

    /** Turns the phone to the side. */
    fun turn() {
        RuntimeEnvironment.setQualifiers("+land")
        controller!!.recreate()
        settle()
    }

    fun leaveAndReturn() {
        controller!!.pause().resume()
        settle()
    }

    /** Hands a photo over as the picker does. */
    fun choose(photo: File) {
        session.classify(uri(photo))
        settle()
    }

    /** An address that another app gives for [file]. */
    fun uri(file: File): Uri {
        val uri = Uri.parse("content://gallery/${file.name}")
        val bytes = file.readBytes()
        shadowOf(app.contentResolver).registerInputStreamSupplier(uri) { ByteArrayInputStream(bytes) }
        return uri
    }

    /** Lays the screen out anew, without waiting for what has been begun. */
    fun layOut() {
        val view = activity.window.decorView
        view.measure(exactly(view.width), exactly(view.height))
        view.layout(0, 0, view.width, view.height)
    }

    private fun exactly(size: Int) = View.MeasureSpec.makeMeasureSpec(size, View.MeasureSpec.EXACTLY)

    /** Paints the screen, or [view], to a PNG called [name]; [minimum] different colours are expected. */
    fun picture(name: String, view: View = activity.window.decorView, minimum: Int = 8) {
        val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
        view.draw(Canvas(bitmap))
        val pixels = IntArray(bitmap.width * bitmap.height)
        bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
        assertTrue("$name is empty", pixels.distinct().size >= minimum)
        val folder = File(System.getProperty("pmsi.screens") ?: "build/screens").apply { mkdirs() }
        File(folder, "$name.png").outputStream().use { bitmap.compress(Bitmap.CompressFormat.PNG, 100, it) }
    }

    private fun shown(view: View): List<View> = when {
        view.visibility != View.VISIBLE -> emptyList()
        view is ViewGroup -> listOf(view) + (0 until view.childCount).flatMap { shown(view.getChildAt(it)) }
        else -> listOf(view)
    }

    companion object {
        private const val ROUNDS = 5

        /** The models that come with the app are there. */
        fun assumeModels() {
            Fixtures.file("assets/models")
        }

        /** As if no model came with the app. */
        fun withoutModels() {
            val app = RuntimeEnvironment.getApplication()
            val installed = app.packageManager.getPackageInfo(app.packageName, 0).lastUpdateTime
            File(app.noBackupFilesDir, "models/$installed").mkdirs()
        }

        /** Puts a file where adb would push it to, as [name]. */
        fun push(file: File, name: String = file.name) {
            file.copyTo(File(RuntimeEnvironment.getApplication().getExternalFilesDir("models"), name), overwrite = true)
        }

        fun texts(view: View): List<String> = when {
            view.visibility != View.VISIBLE -> emptyList()
            view is TextView -> listOf(view.text.toString()).filter(String::isNotBlank)
            view is ViewGroup -> (0 until view.childCount).flatMap { texts(view.getChildAt(it)) }
            else -> emptyList()
        }
    }
}
