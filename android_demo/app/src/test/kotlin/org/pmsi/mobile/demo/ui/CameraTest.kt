package org.pmsi.mobile.demo.ui

import android.Manifest
import android.content.pm.PackageManager
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Color
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.graphics.drawable.BitmapDrawable
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraManager
import android.hardware.camera2.params.StreamConfigurationMap
import android.media.Image
import android.os.Handler
import android.os.HandlerThread
import android.provider.Settings
import android.util.Size
import android.view.Display
import android.view.Surface
import android.view.TextureView
import android.view.View
import java.nio.ByteBuffer
import java.time.Duration
import java.util.concurrent.CountDownLatch
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertNotSame
import org.junit.Assert.assertNull
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.Models
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.camera.CameraProblem
import org.pmsi.mobile.demo.camera.Lens
import org.pmsi.mobile.demo.camera.Newest
import org.pmsi.mobile.demo.camera.Preview
import org.pmsi.mobile.demo.ui.Phone.Companion.assumeModels
import org.robolectric.RobolectricTestRunner
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowCameraCharacteristics
import org.robolectric.shadows.ShadowDisplay
import org.robolectric.shadows.ShadowDisplayManager
import org.robolectric.shadows.ShadowSystemClock
import org.robolectric.shadows.StreamConfigurationMapBuilder

/** The camera screen, with a camera and without. */
@RunWith(RobolectricTestRunner::class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = [34], qualifiers = "w411dp-h891dp-xhdpi")
class CameraTest {
    private val phone = Phone()

    private fun assertShows(vararg parts: String) {
        for (part in parts) assertTrue("'$part' is not in:\n${phone.text}", part in phone.text)
    }

    private fun open(): Phone {
        assumeModels()
        phone.open(R.id.tab_camera)
        return phone
    }

    private fun withCamera(allowed: Boolean = true) {
        shadowOf(phone.app.packageManager).setSystemFeature(PackageManager.FEATURE_CAMERA_ANY, true)
        if (allowed) shadowOf(phone.app as android.app.Application).grantPermissions(Manifest.permission.CAMERA)
        val characteristics = ShadowCameraCharacteristics.newCameraCharacteristics()
        shadowOf(characteristics).apply {
            set(CameraCharacteristics.LENS_FACING, CameraCharacteristics.LENS_FACING_BACK)
            set(CameraCharacteristics.SENSOR_ORIENTATION, 90)
            set(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP, sizes())
        }
        shadowOf(phone.app.getSystemService(CameraManager::class.java)).addCamera("0", characteristics)
    }

    private fun sizes(): StreamConfigurationMap {
        val builder = StreamConfigurationMapBuilder.newBuilder()
        for (size in listOf(Size(1920, 1080), Size(1280, 960), Size(640, 480), Size(320, 240))) {
            builder.addOutputSize(ImageFormat.YUV_420_888, size)
        }
        return builder.build()
    }

    @Test
    fun `without a camera the app offers photos`() {
        open()
        assertShows("No camera here", "Choose a photo")
        phone.picture("camera-none")
        phone.tap(R.id.message_action)
        assertShows("What is on your photo?")
    }

    @Test
    fun `the permission is explained, asked for, and its refusal accepted`() {
        withCamera(allowed = false)
        open()
        assertShows("Look through the camera", "nothing leaves this device")
        phone.picture("camera-permission")
        phone.tap(R.id.message_action)
        val asked = shadowOf(phone.activity).lastRequestedPermission
        assertEquals(listOf(Manifest.permission.CAMERA), asked.requestedPermissions.toList())
        phone.leaveAndReturn()
        assertShows("The camera is off limits", "settings")
        phone.picture("camera-refused")
        phone.tap(R.id.message_action)
        val settings = shadowOf(phone.activity).nextStartedActivity
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, settings.action)
    }

    @Test
    fun `the camera's frames are classified`() {
        withCamera()
        open()
        assertShows("The camera starts")
        val preview = phone.activity.findViewById<TextureView>(R.id.preview)
        preview.surfaceTextureListener!!.onSurfaceTextureAvailable(SurfaceTexture(0), preview.width, preview.height)
        phone.settle()
        val photo = BitmapFactory.decodeFile(Fixtures.file("photos/real-0.jpg").path).scaledTo(480, 640)
        val screen = phone.screen as CameraScreen
        val frames = screen.frames(phone.session.model!!, Lens("0", false, 90, Size(640, 480)))
        repeat(3) {
            phone.session.worker.post { frames.take(Frame(photo)) }
            phone.settle()
            ShadowSystemClock.advanceBy(Duration.ofMillis(400))
        }
        assertShows("ms a frame", "frames/s", "%")
        // The preview has no pixels here: the frame stands for it.
        phone.activity.findViewById<View>(R.id.viewfinder).background = BitmapDrawable(phone.activity.resources, photo)
        phone.picture("camera")
    }

    @Test
    fun `a thread that is busy gets the newest frame and no other`() {
        val thread = HandlerThread("frames").apply { start() }
        val busy = CountDownLatch(1)
        val handler = Handler(thread.looper).apply { post { busy.await() } }
        val taken = mutableListOf<Image>()
        val newest = Newest(handler, taken::add)
        val photo = Bitmap.createBitmap(4, 4, Bitmap.Config.ARGB_8888)
        val images = List(3) { Frame(photo) }
        images.forEach(newest::offer)
        busy.countDown()
        thread.quitSafely()
        thread.join()
        assertEquals(listOf<Image>(images[2]), taken)
        assertEquals(listOf(true, true, false), images.map { it.isClosed })
    }

    @Test
    fun `the camera starts anew when the phone is turned from one side to the other`() {
        withCamera()
        open()
        val preview = phone.activity.findViewById<TextureView>(R.id.preview)
        val before = preview.surfaceTextureListener
        ShadowDisplayManager.changeDisplay(Display.DEFAULT_DISPLAY, "+land")
        shadowOf(ShadowDisplay.getDefaultDisplay()).setRotation(Surface.ROTATION_270)
        ShadowDisplayManager.changeDisplay(Display.DEFAULT_DISPLAY, "+land")
        phone.settle()
        assertNotSame(before, preview.surfaceTextureListener)
    }

    @Test
    fun `a camera that another app uses is not the end`() {
        withCamera()
        open()
        (phone.screen as CameraScreen).tell(CameraProblem.IN_USE)
        assertShows("No picture from the camera", "Another app uses the camera", "Try again")
        phone.picture("camera-in-use")
        phone.tap(R.id.message_action)
        assertShows("The camera starts")
    }

    @Test
    fun `the camera waits while a benchmark runs`() {
        withCamera()
        open()
        phone.tap(R.id.tab_benchmark)
        phone.session.runBenchmark()
        assertTrue(phone.activity.findViewById<View>(R.id.content).keepScreenOn)
        phone.activity.findViewById<View>(R.id.tab_camera).performClick()
        assertShows("A benchmark is running")
        phone.layOut()
        phone.picture("camera-waits")
        assertNull(phone.activity.findViewById<TextureView>(R.id.preview).surfaceTextureListener)
        phone.settle()
        assertShows("The camera starts")
        assertFalse(phone.activity.findViewById<View>(R.id.content).keepScreenOn)
    }

    @Test
    fun `the screen stays on while the camera shows a picture`() {
        withCamera()
        open()
        val live = phone.activity.findViewById<View>(R.id.live)
        assertTrue(live.keepScreenOn && live.isShown)
        (phone.screen as CameraScreen).tell(CameraProblem.IN_USE)
        assertFalse(live.isShown)
    }

    @Test
    fun `a network that gives no numbers ends the camera with a sentence`() {
        Phone.withoutModels()
        Phone.push(Fixtures.file("not-finite/not-finite.onnx"))
        withCamera()
        phone.open(R.id.tab_camera)
        val preview = phone.activity.findViewById<TextureView>(R.id.preview)
        preview.surfaceTextureListener!!.onSurfaceTextureAvailable(SurfaceTexture(0), preview.width, preview.height)
        phone.settle()
        val frames = (phone.screen as CameraScreen).frames(phone.session.model!!, Lens("0", false, 90, Size(64, 48)))
        val photo = Bitmap.createBitmap(48, 64, Bitmap.Config.ARGB_8888)
        phone.session.worker.post { frames.take(Frame(photo)) }
        phone.settle()
        assertShows("The model does not run", "On CPU it gives numbers that are no probabilities")
    }

    @Test
    fun `a frame that shows none of the classes is told from one that does`() {
        Phone.withoutModels()
        Phone.push(Fixtures.file("confidence/none.onnx"))
        Phone.push(Fixtures.file("confidence/one.onnx"))
        withCamera()
        phone.open(R.id.tab_camera)
        val preview = phone.activity.findViewById<TextureView>(R.id.preview)
        val photo = BitmapFactory.decodeFile(Fixtures.file("photos/real-0.jpg").path).scaledTo(480, 640)
        val entries = (phone.session.models as Models.Loaded).entries
        for ((name, isNone) in listOf("none.onnx" to true, "one.onnx" to false)) {
            phone.session.select(entries.first { it.file.name == name })
            phone.settle()
            preview.surfaceTextureListener!!.onSurfaceTextureAvailable(SurfaceTexture(0), preview.width, preview.height)
            val lens = Lens("0", false, 90, Size(640, 480))
            val frames = (phone.screen as CameraScreen).frames(phone.session.model!!, lens)
            phone.session.worker.post { frames.take(Frame(photo)) }
            phone.settle()
            assertShows("%")
            assertEquals(name, isNone, "None of these" in phone.text)
        }
    }

    @Test
    fun `frames are turned upright whatever way the phone is held`() {
        val back = Lens("0", false, 90, Size(640, 480))
        assertEquals(listOf(90, 0, 270, 180), listOf(0, 90, 180, 270).map(back::rotation))
        val front = Lens("1", true, 270, Size(640, 480))
        assertEquals(listOf(270, 0, 90, 180), listOf(0, 90, 180, 270).map(front::rotation))
    }

    @Test
    fun `the preview shows the whole picture in proportion`() {
        val lens = Lens("0", false, 90, Size(640, 480))
        val portrait = Preview(1000, 1000, lens, 0)
        assertEquals(3.0 / 4, portrait.picture.width() / portrait.picture.height().toDouble(), 1e-3)
        assertEquals(1000f, portrait.picture.height(), 1e-3f)
        val landscape = Preview(1000, 1000, lens, 90)
        assertEquals(4.0 / 3, landscape.picture.width() / landscape.picture.height().toDouble(), 1e-3)
        // The corner of the picture that is on the left at the bottom when the phone is upright is on top now.
        val corner = floatArrayOf(0f, 1000f).also(landscape.matrix::mapPoints)
        assertEquals(listOf(landscape.picture.right, landscape.picture.bottom), corner.toList())
    }

    @Test
    fun `the camera's size is the smallest that has enough pixels`() {
        val sizes = listOf(Size(4000, 3000), Size(1920, 1080), Size(1280, 960), Size(640, 480), Size(320, 240))
        assertEquals(Size(640, 480), Lens.chooseSize(sizes, 128))
        assertEquals(Size(640, 480), Lens.chooseSize(sizes, 448))
        assertEquals(Size(1280, 960), Lens.chooseSize(sizes, 512))
        assertEquals(Size(1920, 1080), Lens.chooseSize(listOf(Size(1920, 1080), Size(1280, 720)), 1000))
    }

    @Test
    fun `the preview is sharp in its view, in the proportions of the frames`() {
        val frames = Size(640, 480)
        val sizes = listOf(Size(4000, 3000), Size(1920, 1080), Size(1440, 1080), Size(1280, 960), frames)
        val lens = Lens("0", false, 90, frames, Lens.previews(sizes, frames))
        // A view in which the picture is 1080 x 1440 pixels, or 900 x 1200, or small, or larger than a preview can be.
        assertEquals(Size(1440, 1080), lens.previewIn(1080, 1500))
        assertEquals(Size(1280, 960), lens.previewIn(900, 1300))
        assertEquals(frames, lens.previewIn(300, 400))
        assertEquals(Size(1440, 1080), lens.previewIn(2000, 3000))
        assertEquals(listOf(frames), Lens.previews(listOf(Size(1920, 1080)), frames))
    }

    private fun Bitmap.scaledTo(width: Int, height: Int) = Bitmap.createScaledBitmap(this, width, height, true)

    /** A frame of a camera that is mounted at 90 degrees: [upright] lying on its side. */
    private class Frame(private val upright: Bitmap) : Image() {
        private val planes = listOf(plane(1, ::luma), plane(2, ::cb), plane(2, ::cr)).toTypedArray()

        private fun plane(step: Int, value: (Int) -> Double): Plane {
            val bytes = ByteBuffer.allocateDirect(width * height / (step * step))
            for (y in 0 until height step step) {
                for (x in 0 until width step step) {
                    bytes.put(value(upright.getPixel(upright.width - 1 - y, x)).toInt().coerceIn(0, 255).toByte())
                }
            }
            bytes.rewind()
            return object : Plane() {
                override fun getRowStride() = width / step

                override fun getPixelStride() = 1

                override fun getBuffer() = bytes
            }
        }

        private fun luma(colour: Int) =
            0.299 * Color.red(colour) + 0.587 * Color.green(colour) + 0.114 * Color.blue(colour)

        private fun cb(colour: Int) = 128 + (Color.blue(colour) - luma(colour)) / 1.772

        private fun cr(colour: Int) = 128 + (Color.red(colour) - luma(colour)) / 1.402

        override fun getFormat() = ImageFormat.YUV_420_888

        override fun getWidth() = upright.height

        override fun getHeight() = upright.width

        override fun getTimestamp() = 0L

        override fun getPlanes() = planes

        var isClosed = false
            private set

        override fun close() {
            isClosed = true
        }

        override fun getTransform() = 0

        override fun getScalingMode() = 0
    }
}
