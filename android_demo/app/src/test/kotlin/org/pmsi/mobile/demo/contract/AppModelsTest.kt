package org.pmsi.mobile.demo.contract

import android.content.Context
import java.io.File
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNotNull
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

/** The models of an installed app. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [26, 34])
class AppModelsTest {
    private val context: Context = RuntimeEnvironment.getApplication()

    @Before
    fun needFixtures() {
        Fixtures.file("assets")
    }

    @Test
    fun `models built in, pushed and imported are in one list, pushed ones first`() {
        val store = ModelStore.of(context)
        assertEquals(listOf("ckpt-int8.onnx", "ckpt.onnx", "ckpt.tflite"), store.list().map { it.file.name })
        assertNotNull(store.goldenOf(store.find("ckpt.onnx").contract))

        val pushed = File(context.getExternalFilesDir("models"), "ckpt.onnx")
        Fixtures.file("models/ckpt.onnx").copyTo(pushed)
        val imported = store.add("ckpt-fp16.tflite", Fixtures.file("models/ckpt-fp16.tflite")::inputStream)
        assertEquals(pushed, store.find("ckpt.onnx").file)
        assertEquals(imported, store.find("ckpt-fp16.tflite").file)
        assertEquals(4, store.list().size)
    }

    @Test
    fun `the models of an updated app take the place of those before`() {
        val info = context.packageManager.getPackageInfo(context.packageName, 0)
        ModelStore.of(context)
        val before = checkNotNull(File(context.noBackupFilesDir, "models").list())
        assertEquals(1, before.size)
        info.lastUpdateTime += 1
        org.robolectric.Shadows.shadowOf(context.packageManager).installPackage(info)
        assertEquals(3, ModelStore.of(context).list().size)
        val after = checkNotNull(File(context.noBackupFilesDir, "models").list())
        assertEquals(1, after.size)
        assertEquals((before.single().toLong() + 1).toString(), after.single())
    }
}
