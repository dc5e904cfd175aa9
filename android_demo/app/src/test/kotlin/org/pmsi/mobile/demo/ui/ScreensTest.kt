package org.pmsi.mobile.demo.ui

import android.content.Intent
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Canvas
import android.net.Uri
import android.provider.MediaStore
import android.view.View
import android.widget.Button
import android.widget.ListView
import android.widget.Spinner
import android.widget.TextView
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNull
import org.junit.Assert.assertSame
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.BenchmarkState
import org.pmsi.mobile.demo.CheckState
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.PhotoProvider
import org.pmsi.mobile.demo.PhotoState
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Session
import org.pmsi.mobile.demo.measure.BenchmarkResult
import org.pmsi.mobile.demo.ui.Phone.Companion.assumeModels
import org.pmsi.mobile.demo.ui.Phone.Companion.push
import org.pmsi.mobile.demo.ui.Phone.Companion.texts
import org.pmsi.mobile.demo.ui.Phone.Companion.withoutModels
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowDialog

/** What people see on the screens, and a picture of each. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [34], qualifiers = "w411dp-h891dp-xhdpi")
class ScreensTest {
    private val phone = Phone()

    private fun assertShows(vararg parts: String) {
        for (part in parts) assertTrue("'$part' is not in:\n${phone.text}", part in phone.text)
    }

    private fun openOnnx(tab: Int): Phone {
        assumeModels()
        phone.open(tab)
        select("ckpt.onnx")
        return phone
    }

    private fun select(name: String) {
        val entries = (phone.session.models as org.pmsi.mobile.demo.Models.Loaded).entries
        phone.session.select(entries.first { it.file.name == name })
        phone.settle()
    }

    private fun classifyWith(vararg models: String) {
        withoutModels()
        for (model in models) push(Fixtures.file(model))
        phone.open(R.id.tab_photo)
        phone.choose(Fixtures.file("photos").photo())
    }

    @Test
    fun `without a model the app says how to get one in`() {
        withoutModels()
        phone.open()
        assertShows("No model yet", "pmsi-export", "adb push")
        phone.picture("no-model")
        phone.tap(R.id.message_action)
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, shadowOf(phone.activity).nextStartedActivity.action)
    }

    @Test
    fun `a photo is classified`() {
        openOnnx(R.id.tab_photo)
        assertShows("What is on your photo?")
        phone.picture("photo-none")
        phone.choose(Fixtures.file("photos").photo())
        assertShows("ckpt.onnx", "ms in the network", "%")
        phone.picture("photo")
    }

    @Test
    fun `below the promised threshold the app is not sure`() {
        classifyWith("confidence/unsure.onnx")
        assertShows("Not sure: ", " or ")
        phone.picture("photo-not-sure")
    }

    @Test
    fun `above the threshold of its unknown score a photo is none of the classes, sure or not`() {
        classifyWith("confidence/none.onnx")
        assertShows("None of these", "%")
        assertFalse(phone.text, "Not sure" in phone.text)
        phone.picture("photo-none-of-these")
        phone.turn()
        assertShows("None of these")
        phone.tap(R.id.tab_details)
        assertShows("above a score of -1000000.00, which keeps 95.0\u00A0% of the classes’ photos")
    }

    @Test
    fun `below that threshold, or without one, a photo is one of the classes`() {
        classifyWith("confidence/one.onnx", "confidence/without-threshold.onnx")
        for (name in listOf("one", "without-threshold")) {
            select("$name.onnx")
            assertShows("ms in the network", "%")
            assertFalse(phone.text, "None of these" in phone.text)
        }
        phone.tap(R.id.tab_details)
        assertShows("no threshold: the app cannot say when it is no class")
    }

    @Test
    fun `a score that is no number is a problem with a sentence`() {
        classifyWith("not-finite/score-not-finite.onnx")
        assertShows("The model does not run", "On CPU it gives numbers that are no probabilities")
    }

    @Test
    @Config(qualifiers = "+night")
    fun `the dark theme has the same screens`() {
        openOnnx(R.id.tab_photo)
        phone.choose(Fixtures.file("photos").photo())
        assertShows("ms in the network")
        phone.picture("photo-dark")
        phone.tap(R.id.tab_details)
        phone.picture("details-dark")
    }

    @Test
    fun `a photo is still there when the phone is turned`() {
        openOnnx(R.id.tab_photo)
        phone.choose(Fixtures.file("photos").photo())
        val before = phone.text
        phone.turn()
        assertTrue(phone.activity.findViewById<View>(R.id.tab_photo).isActivated || "ms in the network" in phone.text)
        assertEquals(before.lines().toSet(), phone.text.lines().toSet())
        phone.picture("photo-land")
    }

    @Test
    fun `a file that is no photo is refused with a sentence`() {
        openOnnx(R.id.tab_photo)
        val file = File(phone.app.cacheDir, "corrupt.jpg").apply { writeBytes(ByteArray(4096) { it.toByte() }) }
        phone.choose(file)
        assertShows("This photo cannot be used", "not a photo that the device can read")
        phone.picture("photo-corrupt")
        phone.choose(Fixtures.file("photos").photo())
        assertShows("ms in the network")
    }

    @Test
    fun `a photo taken with the phone on its side stands upright`() {
        val lying = Fixtures.file("photos/exif-6.jpg")
        openOnnx(R.id.tab_photo)
        phone.choose(lying)
        val shown = (phone.session.photo as PhotoState.Classified).preview
        val stored = BitmapFactory.decodeFile(lying.path)
        assertEquals(listOf(stored.height, stored.width), listOf(shown.width, shown.height))
    }

    @Test
    fun `a huge photo is classified too`() {
        val huge = Fixtures.file("photos/thinned-24-megapixels.jpg")
        openOnnx(R.id.tab_photo)
        phone.choose(huge)
        assertShows("ms in the network")
    }

    @Test
    fun `a photo that is gone is refused with a sentence`() {
        openOnnx(R.id.tab_photo)
        phone.session.classify(Uri.parse("content://gallery/gone.jpg"))
        phone.settle()
        assertShows("This photo cannot be used")
    }

    @Test
    fun `photos come from the picker and from the camera app`() {
        openOnnx(R.id.tab_photo)
        phone.tap(R.id.choose)
        val choose = shadowOf(phone.activity).nextStartedActivityForResult
        assertEquals(MediaStore.ACTION_PICK_IMAGES, choose.intent.action)
        val picked = Intent().setData(phone.uri(Fixtures.file("photos").photo()))
        shadowOf(phone.activity).receiveResult(choose.intent, -1, picked)
        phone.settle()
        assertShows("ms in the network")

        shadowOf(phone.activity.application).grantPermissions(android.Manifest.permission.CAMERA)
        phone.tap(R.id.take)
        val take = shadowOf(phone.activity).nextStartedActivityForResult.intent
        assertEquals(MediaStore.ACTION_IMAGE_CAPTURE, take.action)
        assertEquals(PhotoProvider.PHOTO, take.getParcelableExtra(MediaStore.EXTRA_OUTPUT, Uri::class.java))
        phone.app.contentResolver.openOutputStream(PhotoProvider.PHOTO)!!.use {
            it.write(Fixtures.file("photos").photo(1).readBytes())
        }
        shadowOf(phone.activity).receiveResult(take, -1, null)
        phone.settle()
        assertShows("ms in the network")
    }

    @Test
    fun `the benchmark shows how long runs take`() {
        openOnnx(R.id.tab_benchmark)
        assertShows("ONNX Runtime", "Delegate", "Threads", "Runs")
        phone.picture("benchmark-none")
        phone.activity.findViewById<Spinner>(R.id.threads).setSelection(0)
        phone.settle()
        phone.tap(R.id.run)
        val result = (phone.session.benchmark as BenchmarkState.Done).result
        assertEquals(50, result.measurement!!.latenciesNs.size)
        assertShows("Median latency", "Slowest", "50 runs after 10 to warm up, 1 thread, CPU", "Loaded in")
        val described = phone.activity.findViewById<View>(R.id.histogram).contentDescription
        assertTrue("$described", described.startsWith("Latencies of 50 runs"))
        phone.picture("benchmark")
        phone.turn()
        assertShows("Median latency")
        phone.picture("benchmark-land")
    }

    @Test
    fun `a thermal status that a newer Android has is shown as its number`() {
        openOnnx(R.id.tab_benchmark)
        phone.tap(R.id.run)
        val result = (phone.session.benchmark as BenchmarkState.Done).result
        val hot = result.measurement!!.copy(thermalStatusBefore = 1, thermalStatusAfter = 9)
        val shown = BenchmarkResult(result.request, result.modelSha256, hot, null)
        BenchmarkResultView(phone.activity.window.decorView).show(shown)
        assertShows("Thermal status: light before, 9 after")
    }

    @Test
    fun `the delegates are those of the runtime`() {
        openOnnx(R.id.tab_benchmark)
        val delegates = phone.activity.findViewById<Spinner>(R.id.delegate).adapter
        assertEquals(listOf("CPU", "XNNPACK", "NNAPI"), List(delegates.count, delegates::getItem))
        select("ckpt.tflite")
        val others = phone.activity.findViewById<Spinner>(R.id.delegate).adapter
        assertEquals(listOf("CPU", "GPU", "NNAPI"), List(others.count, others::getItem))
    }

    @Test
    fun `a benchmark that fails says why`() {
        // The JVM of this test has no native library of TensorFlow Lite.
        openOnnx(R.id.tab_benchmark)
        select("ckpt.tflite")
        phone.tap(R.id.run)
        assertShows("LiteRT cannot open ckpt.tflite")
        phone.picture("benchmark-failed")
        phone.tap(R.id.tab_photo)
        phone.choose(Fixtures.file("photos").photo())
        assertShows("LiteRT cannot open ckpt.tflite")
    }

    @Test
    fun `the model's contract can be read`() {
        openOnnx(R.id.tab_details)
        assertShows("Precision", "fp32", "Gate", "same first class", "classes", "rmg-pmsi")
        phone.picture("details")
    }

    @Test
    fun `the self-check passes on this machine`() {
        openOnnx(R.id.tab_check)
        phone.picture("check-none")
        phone.tap(R.id.run)
        assertTrue((phone.session.check as CheckState.Done).result.passed)
        assertShows("Passed", "Gate for fp32", "same first class: 100.0")
        phone.picture("check")
    }

    @Test
    fun `without golden samples the self-check says what it needs`() {
        val model = Fixtures.file("assets/models/ckpt.onnx")
        withoutModels()
        push(model)
        phone.open(R.id.tab_check)
        phone.tap(R.id.run)
        assertShows("No golden samples", ".golden.zip")
        phone.picture("check-no-golden")
        phone.session.add(phone.uri(Fixtures.file("assets/models/ckpt.golden.zip")))
        phone.settle()
        phone.tap(R.id.run)
        assertShows("Passed")
    }

    @Test
    fun `a network that gives no numbers is a problem on every screen`() {
        withoutModels()
        push(Fixtures.file("not-finite/not-finite.onnx"))
        push(Fixtures.file("assets/models/ckpt.golden.zip"))
        phone.open(R.id.tab_photo)
        phone.choose(Fixtures.file("photos").photo())
        assertShows("The model does not run", "On CPU it gives numbers that are no probabilities")
        phone.picture("not-finite-photo")
        phone.tap(R.id.tab_check)
        phone.tap(R.id.run)
        assertShows("Failed", "8 of 8 images give numbers that are no probabilities")
        phone.picture("not-finite-check")
        phone.tap(R.id.tab_benchmark)
        phone.tap(R.id.run)
        assertShows("On CPU it gives numbers that are no probabilities")
    }

    @Test
    fun `golden samples that cannot be read are named`() {
        val model = Fixtures.file("assets/models/ckpt.onnx")
        withoutModels()
        push(model)
        push(File(phone.app.cacheDir, "ckpt.golden.zip").apply { writeText("no archive") })
        phone.open(R.id.tab_check)
        phone.tap(R.id.run)
        assertShows("No golden samples", "ckpt.golden.zip cannot be read")
        phone.picture("check-golden-damaged")
    }

    @Test
    fun `a contract without a digest of itself is said to be unprotected`() {
        withoutModels()
        push(Fixtures.file("unprotected/ckpt.tflite"))
        phone.open(R.id.tab_details)
        assertShows("unprotected: it was written by an older pmsi-export")
        phone.picture("details-unprotected")
        push(Fixtures.file("protected/ckpt.tflite"))
        phone.leaveAndReturn()
        phone.tap(R.id.model)
        shadowOf(ShadowDialog.getLatestDialog() as android.app.AlertDialog).clickOnItem(0)
        phone.settle()
        assertShows("unchanged since it was written")
    }

    @Test
    fun `a damaged model says so and another one can be chosen`() {
        val model = Fixtures.file("assets/models/ckpt.onnx")
        withoutModels()
        push(File(phone.app.cacheDir, "broken.onnx").apply { writeBytes(model.readBytes().copyOf(100_000)) })
        phone.open()
        assertShows("This model cannot be used", "broken.onnx is damaged")
        phone.picture("model-broken")
        push(model)
        phone.leaveAndReturn()
        phone.tap(R.id.message_action)
        val dialog = ShadowDialog.getLatestDialog() as android.app.AlertDialog
        shadowOf(dialog).clickOnItem(1)
        phone.settle()
        assertShows("ckpt.onnx", "What is on your photo?")
    }

    @Test
    fun `a model that is pushed while the app is open is found`() {
        val model = Fixtures.file("assets/models/ckpt.onnx")
        withoutModels()
        phone.open()
        assertShows("No model yet")
        push(model)
        phone.leaveAndReturn()
        assertShows("ckpt.onnx", "What is on your photo?")
    }

    @Test
    fun `several models can be chosen from`() {
        assumeModels()
        phone.open()
        phone.tap(R.id.model)
        val dialog = ShadowDialog.getLatestDialog() as android.app.AlertDialog
        val text = texts(dialog.window!!.decorView)
        assertTrue("$text", text.containsAll(listOf("Choose a model", "ckpt-int8.onnx", "ckpt.onnx", "ckpt.tflite")))
        phone.picture("models", dialog.window!!.decorView)
        shadowOf(dialog).clickOnItem((dialog.listView as ListView).count - 1)
        phone.settle()
        assertShows("ckpt.tflite", "LiteRT")
    }

    @Test
    fun `a model that another app opens with this one is kept`() {
        val model = Fixtures.file("assets/models/ckpt.onnx")
        withoutModels()
        val file = File(phone.app.cacheDir, "shared.onnx").apply { writeBytes(model.readBytes()) }
        phone.open(intent = Intent(Intent.ACTION_VIEW, phone.uri(file)))
        assertShows("shared.onnx")
        phone.open()
        assertShows("shared.onnx")
    }

    @Test
    fun `a file that was opened long ago is not opened again from the list of recent apps`() {
        assumeModels()
        val intent = Intent(Intent.ACTION_VIEW, Uri.parse("content://gone/model.onnx"))
        phone.open(intent = intent.addFlags(Intent.FLAG_ACTIVITY_LAUNCHED_FROM_HISTORY))
        assertNull(phone.session.rejected)
    }

    @Test
    fun `a photo that comes before the models are read is classified after that`() {
        assumeModels()
        val session = Session(phone.app)
        session.classify(phone.uri(Fixtures.file("photos/real-0.jpg")))
        assertSame(PhotoState.None, session.photo)
        session.load()
        phone.settle(session)
        assertTrue(session.photo is PhotoState.Classified)
        session.close()
    }

    @Test
    fun `the histogram can be narrower than its labels`() {
        val histogram = HistogramView(phone.app)
        histogram.show(doubleArrayOf(4.0, 4.2, 9.0))
        for (width in listOf(1, 20, 600)) {
            histogram.layout(0, 0, width, 200)
            histogram.draw(Canvas(Bitmap.createBitmap(width, 200, Bitmap.Config.ARGB_8888)))
        }
    }

    @Test
    fun `a shared file that is no model is refused`() {
        assumeModels()
        val file = File(phone.app.cacheDir, "notes.txt").apply { writeText("milk, eggs") }
        val share = Intent(Intent.ACTION_SEND).putExtra(Intent.EXTRA_STREAM, phone.uri(file))
        phone.open(intent = share)
        val dialog = ShadowDialog.getLatestDialog()
        val text = texts(dialog.window!!.decorView).joinToString("\n")
        assertTrue(text, "This file cannot be used" in text && "notes.txt" in text)
        dialog.dismiss()
        phone.settle()
        assertFalse(ShadowDialog.getLatestDialog().isShowing)
    }

    @Test
    fun `what can be tapped is large enough and has a name`() {
        openOnnx(R.id.tab_photo)
        val density = phone.activity.resources.displayMetrics.density
        for (tab in listOf(R.id.tab_photo, R.id.tab_benchmark, R.id.tab_check, R.id.tab_details)) {
            phone.tap(tab)
            for (view in tappable(phone.activity.window.decorView).filterNot {
                (it as? TextView)?.isTextSelectable ==
                    true
            }) {
                assertTrue("$view", view.height >= 48 * density && view.width >= 48 * density)
                val name = view.contentDescription ?: (view as? Button)?.text
                assertTrue("$view has no name", view is Spinner || !name.isNullOrBlank())
            }
        }
    }

    @Test
    fun `nothing lies under the system bars`() {
        openOnnx(R.id.tab_photo)
        val root = phone.activity.findViewById<View>(R.id.content).parent as View
        val bars = android.graphics.Insets.of(0, 63, 0, 126)
        val insets =
            android.view.WindowInsets
                .Builder()
                .setInsets(
                    android.view.WindowInsets.Type
                        .systemBars(),
                    bars
                ).build()
        root.dispatchApplyWindowInsets(insets)
        assertEquals(listOf(63, 126), listOf(root.paddingTop, root.paddingBottom))
    }

    @Test
    fun `large text still fits`() {
        assumeModels()
        RuntimeEnvironment.setFontScale(1.6f)
        openOnnx(R.id.tab_photo)
        phone.choose(Fixtures.file("photos").photo())
        phone.picture("photo-large-text")
        phone.tap(R.id.tab_benchmark)
        phone.picture("benchmark-large-text")
    }

    private fun tappable(view: View): List<View> = when {
        view.visibility != View.VISIBLE -> emptyList()
        view.isClickable -> listOf(view)
        view is android.view.ViewGroup -> (0 until view.childCount).flatMap { tappable(view.getChildAt(it)) }
        else -> emptyList()
    }

    private fun File.photo(number: Int = 0): File {
        val photos = listFiles()!!.filter { it.extension == "jpg" }.sortedBy { it.name }
        return photos.first { it.name == "real-$number.jpg" || it.name == "drawn-$number.jpg" }
    }
}
