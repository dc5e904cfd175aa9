package org.pmsi.mobile.demo

import android.Manifest
import android.content.ComponentName
import android.content.Intent
import android.os.Looper
import android.view.View
import android.view.WindowManager
import java.io.File
import java.util.concurrent.TimeUnit
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.ui.Phone
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode

/** What `adb shell am start` makes of the benchmark. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [34], qualifiers = "w411dp-h891dp-xhdpi")
class BenchmarkActivityTest {
    private val results = File(RuntimeEnvironment.getApplication().getExternalFilesDir("results")!!.path)

    private fun request(model: String?, result: String, runs: Int = 20) = Intent()
        .putExtra("model", model)
        .putExtra("runtime", "onnxruntime")
        .putExtra("delegate", "cpu")
        .putExtra("threads", 1)
        .putExtra("warmup", 2)
        .putExtra("runs", runs)
        .putExtra("result", result)

    private fun start(intent: Intent): ActivityController<BenchmarkActivity> =
        Robolectric.buildActivity(BenchmarkActivity::class.java, intent).setup()

    private fun result(name: String): JSONObject {
        val file = File(results, name)
        val deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60)
        while (!file.exists() && System.nanoTime() < deadline) Thread.sleep(20)
        return JSONObject(file.readText())
    }

    private fun textOnceWritten(activity: BenchmarkActivity): String {
        val deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60)
        var text = ""
        while ("The result is in" !in text && System.nanoTime() < deadline) {
            Thread.sleep(20)
            shadowOf(Looper.getMainLooper()).idle()
            text = Phone.texts(activity.window.decorView).joinToString("\n")
        }
        return text
    }

    @Test
    fun `what was asked for is measured once, whatever becomes of the activity`() {
        Phone.assumeModels()
        val controller = start(request("ckpt.onnx", "once.json"))
        result("once.json")
        File(results, "once.json").delete()
        val other = controller.recreate().get()
        assertTrue(other.isFinishing)
        shadowOf(Looper.getMainLooper()).idle()
        assertEquals(emptyList<String>(), results.list()!!.toList())
    }

    @Test
    fun `a request is measured and written`() {
        Phone.assumeModels()
        val activity = start(request("ckpt.onnx", "one.json")).get()
        val result = result("one.json")
        assertEquals(JSONObject.NULL, result.get("error"))
        assertEquals(20, result.getJSONArray("latencies_ns").length())
        assertEquals("onnxruntime", result.getString("runtime"))
        assertEquals("1.0", result.getString("app_version"))
        assertEquals(8, result.getJSONArray("golden").length())
        assertEquals(listOf("one.json"), results.list()!!.toList())
        val text = textOnceWritten(activity)
        assertTrue(text, "Median latency" in text)
        Phone().picture("benchmark-adb", activity.window.decorView)
    }

    @Test
    fun `one request after the other is answered`() {
        Phone.assumeModels()
        val controller = start(request("ckpt.onnx", "first.json"))
        controller.newIntent(request("ckpt-int8.onnx", "second.json"))
        assertEquals("ckpt.onnx", result("first.json").getString("model"))
        assertEquals("ckpt-int8.onnx", result("second.json").getString("model"))
    }

    @Test
    fun `a request that cannot be met is answered with the reason`() {
        start(request("missing.onnx", "missing.json"))
        assertTrue("missing.onnx" in result("missing.json").getString("error"))
        start(request(null, "nothing.json"))
        assertTrue("--es model" in result("nothing.json").getString("error"))
    }

    @Test
    fun `adb's shell may start it, other apps may not`() {
        val app = RuntimeEnvironment.getApplication()
        val activity = app.packageManager.getActivityInfo(ComponentName(app, BenchmarkActivity::class.java), 0)
        assertTrue(activity.exported)
        assertEquals(Manifest.permission.DUMP, activity.permission)
    }

    @Test
    fun `the screen stays on while something is measured`() {
        Phone.assumeModels()
        val activity = start(request("ckpt.onnx", "awake.json")).get()
        val progress = activity.findViewById<View>(R.id.progress)
        assertTrue(progress.keepScreenOn)
        assertEquals(View.VISIBLE, progress.visibility)
        textOnceWritten(activity)
        assertEquals(View.INVISIBLE, progress.visibility)
        assertEquals(0, activity.window.attributes.flags and WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON)
    }

    @Test
    fun `a result stays in its folder`() {
        start(request(null, "../../escaped.json"))
        result("escaped.json")
        assertTrue(File(results, "escaped.json").exists())
    }
}
