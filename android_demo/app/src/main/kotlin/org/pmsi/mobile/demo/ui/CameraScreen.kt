package org.pmsi.mobile.demo.ui

import android.Manifest
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraManager
import android.hardware.display.DisplayManager
import android.net.Uri
import android.os.Handler
import android.os.Looper
import android.provider.Settings
import android.view.Surface
import android.view.TextureView
import android.view.View
import android.view.ViewGroup
import android.widget.TextView
import org.pmsi.mobile.demo.BenchmarkState
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Ranking
import org.pmsi.mobile.demo.Session
import org.pmsi.mobile.demo.camera.Camera
import org.pmsi.mobile.demo.camera.CameraProblem
import org.pmsi.mobile.demo.camera.FrameTimes
import org.pmsi.mobile.demo.camera.Frames
import org.pmsi.mobile.demo.camera.Lens
import org.pmsi.mobile.demo.camera.Preview
import org.pmsi.mobile.demo.camera.setDefaultBufferSize
import org.pmsi.mobile.demo.contract.ModelEntry
import org.pmsi.mobile.demo.sentenceOf

/** What the camera sees, classified frame by frame. */
class CameraScreen(
    private val activity: Activity,
    private val session: Session,
    parent: ViewGroup,
    private val choosePhoto: () -> Unit
) : Screen {
    override val view: View = activity.layoutInflater.inflate(R.layout.camera, parent, false)

    private val live = view.findViewById<View>(R.id.live)
    private val preview = view.findViewById<TextureView>(R.id.preview)
    private val viewfinder = view.findViewById<ViewfinderView>(R.id.viewfinder)
    private val top = view.findViewById<TopList>(R.id.top)
    private val times = view.findViewById<TextView>(R.id.times)
    private val message = view.findViewById<MessageView>(R.id.message)

    private var camera: Camera? = null
    private var model: ModelEntry.Ready? = null
    private var waitsForAnswer = false
    private var waitsForBenchmark = false

    /** From one side to the other the phone is turned without a word to the activity. */
    private val displays = activity.getSystemService(DisplayManager::class.java)
    private var degrees = 0
    private val turned =
        object : DisplayManager.DisplayListener {
            override fun onDisplayChanged(id: Int) {
                if (displayDegrees() != degrees) again()
            }

            override fun onDisplayAdded(id: Int) = Unit

            override fun onDisplayRemoved(id: Int) = Unit
        }

    override fun render(model: ModelEntry.Ready) {
        val before = this.model ?: return
        if (before !== model || waitsForBenchmark != isMeasuring()) start(model)
    }

    override fun start(model: ModelEntry.Ready) {
        stop()
        this.model = model
        degrees = displayDegrees()
        displays.registerDisplayListener(turned, main)
        message.hide()
        live.visibility = View.VISIBLE
        waitsForBenchmark = isMeasuring()
        when {
            waitsForBenchmark -> say(R.string.camera_waits_title, R.string.camera_waits)
            !activity.packageManager.hasSystemFeature(PackageManager.FEATURE_CAMERA_ANY) -> tellNoCamera()
            !isAllowed() -> askPermission()
            else -> find(model)
        }
    }

    override fun stop() {
        displays.unregisterDisplayListener(turned)
        preview.surfaceTextureListener = null
        camera?.close()
        camera = null
        model = null
    }

    /** A camera that runs takes its share of what is measured. */
    private fun isMeasuring() = session.benchmark is BenchmarkState.Running

    private fun isAllowed() =
        activity.checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED

    private fun find(model: ModelEntry.Ready) {
        val manager = activity.getSystemService(CameraManager::class.java)
        try {
            val found = Lens.choose(manager, model.contract.resize) ?: return tellNoCamera()
            open(model, found)
        } catch (_: CameraAccessException) {
            tell(CameraProblem.BROKEN)
        }
    }

    private fun open(model: ModelEntry.Ready, lens: Lens) {
        times.setText(R.string.camera_starts)
        top.clearFrom(0)
        preview.surfaceTextureListener =
            object : TextureView.SurfaceTextureListener {
                override fun onSurfaceTextureAvailable(texture: SurfaceTexture, width: Int, height: Int) =
                    begin(model, lens, texture)

                override fun onSurfaceTextureSizeChanged(texture: SurfaceTexture, width: Int, height: Int) {
                    // The view gives its texture its own size; the camera goes on writing the one that it began with.
                    camera?.let { texture.setDefaultBufferSize(it.shown) }
                    place(model, lens)
                }

                override fun onSurfaceTextureDestroyed(texture: SurfaceTexture) = true

                override fun onSurfaceTextureUpdated(texture: SurfaceTexture) = Unit
            }
        preview.surfaceTexture?.let { begin(model, lens, it) }
    }

    private fun begin(model: ModelEntry.Ready, lens: Lens, texture: SurfaceTexture) {
        place(model, lens)
        val frames = frames(model, lens)
        val shown = lens.previewIn(preview.width, preview.height)
        camera = Camera(activity, lens, shown, session.worker, frames::take, ::tellLater).also { it.open(texture) }
    }

    private fun tellLater(problem: CameraProblem) {
        main.post { if (camera != null) tell(problem) }
    }

    /** What is done with the frames of [lens]. */
    internal fun frames(model: ModelEntry.Ready, lens: Lens) = Frames(
        rotation = lens.rotation(degrees),
        pipeline = { session.pipeline(model) },
        onTop = { found, isNone -> if (isLive(model)) show(found, isNone, model) },
        onTimes = { if (isLive(model)) times.text = words(it) },
        onFailure = { if (isLive(model)) fail(sentenceOf(it).text(activity.resources)) }
    )

    private fun isLive(model: ModelEntry.Ready) = camera != null && this.model === model

    private fun show(found: Ranking, isNone: Boolean, model: ModelEntry.Ready) {
        val classes = model.contract.classes
        for (rank in 0 until found.size) top.show(rank, classes[found.indices[rank]], found.values[rank])
        val second = if (found.size > 1) classes[found.indices[1]] else null
        top.judge(model.contract, isNone, classes[found.indices[0]], found.values[0], second)
        top.clearFrom(found.size)
    }

    private fun words(times: FrameTimes) =
        activity.getString(R.string.camera_times, times.frameMs, times.networkMs, times.perSecond)

    private fun place(model: ModelEntry.Ready, lens: Lens) {
        val place = Preview(preview.width, preview.height, lens, degrees)
        preview.setTransform(place.matrix)
        viewfinder.show(place.picture, model.contract.crop.toFloat() / model.contract.resize)
    }

    // Its successor, Context.getDisplay, is there from API 30 on.
    @Suppress("DEPRECATION")
    private fun displayDegrees(): Int = when (activity.windowManager.defaultDisplay.rotation) {
        Surface.ROTATION_90 -> 90
        Surface.ROTATION_180 -> 180
        Surface.ROTATION_270 -> 270
        else -> 0
    }

    private fun askPermission() {
        val refused = waitsForAnswer && !activity.shouldShowRequestPermissionRationale(Manifest.permission.CAMERA)
        if (refused) {
            say(R.string.camera_refused_title, R.string.camera_refused, R.string.camera_settings) {
                val settings = Uri.fromParts("package", activity.packageName, null)
                activity.startActivity(Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, settings))
            }
        } else {
            say(R.string.camera_permission_title, R.string.camera_permission, R.string.camera_allow) {
                waitsForAnswer = true
                activity.requestPermissions(arrayOf(Manifest.permission.CAMERA), PERMISSION_REQUEST)
            }
        }
    }

    private fun tellNoCamera() =
        say(R.string.camera_none_title, R.string.camera_none, R.string.photo_choose, choosePhoto)

    internal fun tell(problem: CameraProblem) {
        val text =
            when (problem) {
                CameraProblem.IN_USE -> R.string.camera_in_use
                CameraProblem.DISABLED -> R.string.camera_disabled
                CameraProblem.BROKEN -> R.string.camera_broken
            }
        say(R.string.camera_problem_title, text, R.string.again, ::again)
    }

    private fun say(title: Int, text: Int, label: Int? = null, act: () -> Unit = {}) {
        live.visibility = View.INVISIBLE
        message.show(
            R.drawable.ic_camera,
            activity.getText(title),
            activity.getText(text),
            label?.let(activity::getText),
            act
        )
    }

    private fun again() {
        model?.let(::start)
    }

    private fun fail(text: String) {
        camera?.close()
        camera = null
        live.visibility = View.INVISIBLE
        message.show(
            R.drawable.ic_problem,
            activity.getText(R.string.model_fails),
            text,
            activity.getText(R.string.again),
            ::again
        )
    }

    companion object {
        const val PERMISSION_REQUEST = 1
        private val main = Handler(Looper.getMainLooper())
    }
}
