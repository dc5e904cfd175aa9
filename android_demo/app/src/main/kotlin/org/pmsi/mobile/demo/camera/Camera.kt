package org.pmsi.mobile.demo.camera

import android.annotation.SuppressLint
import android.content.Context
import android.graphics.ImageFormat
import android.graphics.SurfaceTexture
import android.hardware.camera2.CameraAccessException
import android.hardware.camera2.CameraCaptureSession
import android.hardware.camera2.CameraCharacteristics
import android.hardware.camera2.CameraDevice
import android.hardware.camera2.CameraManager
import android.hardware.camera2.params.StreamConfigurationMap
import android.media.Image
import android.media.ImageReader
import android.os.Handler
import android.os.HandlerThread
import android.util.Size
import android.view.Surface
import kotlin.math.abs

/**
 * One camera of the device. [sensorDegrees]: by how much its pictures have to be turned clockwise to stand upright in
 * the device's natural position. [size]: of the frames that are classified. [previews]: the sizes that it can show on
 * the screen beside them, all of the same proportions.
 */
class Lens(
    val id: String,
    val front: Boolean,
    val sensorDegrees: Int,
    val size: Size,
    private val previews: List<Size> = listOf(size)
) {
    /** The smallest size of the preview that is sharp in a view of so many pixels; else the largest. */
    fun previewIn(viewWidth: Int, viewHeight: Int): Size {
        val longer = maxOf(viewWidth, viewHeight)
        val shorter = minOf(viewWidth, viewHeight)
        val rising = previews.sortedBy { it.width }
        return rising.firstOrNull { it.width >= longer || it.height >= shorter } ?: rising.last()
    }

    /** By how much a picture has to be turned clockwise to stand upright on a screen turned by [displayDegrees]. */
    fun rotation(displayDegrees: Int): Int {
        val turned = if (front) displayDegrees else -displayDegrees
        return (sensorDegrees + turned + FULL_TURN) % FULL_TURN
    }

    companion object {
        private const val FULL_TURN = 360

        /**
         * The camera to look through: one on the back where there is one. Null when the device has none. [side]:
         * pictures have at least so many pixels along the shorter side where the camera can do that.
         */
        fun choose(manager: CameraManager, side: Int): Lens? {
            val lenses = manager.cameraIdList.mapNotNull { describe(manager, it, side) }
            return lenses.firstOrNull { !it.front } ?: lenses.firstOrNull()
        }

        private fun describe(manager: CameraManager, id: String, side: Int): Lens? {
            val camera = manager.getCameraCharacteristics(id)
            val streams = camera.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP)
            return if (streams == null) null else describe(id, camera, streams, side)
        }

        private fun describe(
            id: String,
            camera: CameraCharacteristics,
            streams: StreamConfigurationMap,
            side: Int
        ): Lens? {
            val sizes = streams.getOutputSizes(ImageFormat.YUV_420_888)
            if (sizes.isNullOrEmpty()) return null
            val size = chooseSize(sizes.asList(), side)
            return Lens(
                id = id,
                front = camera.get(CameraCharacteristics.LENS_FACING) == CameraCharacteristics.LENS_FACING_FRONT,
                sensorDegrees = camera.get(CameraCharacteristics.SENSOR_ORIENTATION) ?: 0,
                size = size,
                previews = previews(streams.getOutputSizes(SurfaceTexture::class.java).orEmpty().asList(), size)
            )
        }

        /**
         * The smallest size of 4:3, as most photos have, with [side] pixels along the shorter side; else the nearest to
         * it.
         */
        fun chooseSize(sizes: List<Size>, side: Int): Size {
            val ratio = sizes.minOf { it.distance() }
            val alike = sizes.filter { it.distance() == ratio }.sortedBy { it.height }
            return alike.firstOrNull { it.height >= side && it.width >= MIN_WIDTH } ?: alike.last()
        }

        /**
         * Of [sizes] those of the proportions of [size] that every camera gives together with frames (CameraDevice,
         * guaranteed stream combinations: PREVIEW is up to 1080p); else [size].
         */
        fun previews(sizes: List<Size>, size: Size): List<Size> = sizes
            .filter { it.width <= MAX_PREVIEW_WIDTH && it.height <= MAX_PREVIEW_HEIGHT }
            .filter { it.width * size.height == it.height * size.width }
            .ifEmpty { listOf(size) }

        private const val MAX_PREVIEW_WIDTH = 1920
        private const val MAX_PREVIEW_HEIGHT = 1080
        private const val MIN_WIDTH = 640
        private const val USUAL_RATIO = 4.0 / 3

        private fun Size.distance() = abs(width.toDouble() / height - USUAL_RATIO)
    }
}

internal fun SurfaceTexture.setDefaultBufferSize(size: Size) = setDefaultBufferSize(size.width, size.height)

/** Why there is no picture. */
enum class CameraProblem { IN_USE, DISABLED, BROKEN }

/**
 * Shows the camera's picture on a texture, and hands frames over: the newest each time, those in between are dropped.
 *
 * [shown]: the size on the texture. [frames]: the thread that [onFrame] is called on, which closes the image.
 * [onProblem] is called on a thread of the camera's own.
 */
class Camera(
    context: Context,
    private val lens: Lens,
    internal val shown: Size,
    private val frames: Handler,
    onFrame: (Image) -> Unit,
    private val onProblem: (CameraProblem) -> Unit
) {
    private val manager = context.getSystemService(CameraManager::class.java)
    private val thread = HandlerThread("camera").apply { start() }
    private val handler = Handler(thread.looper)
    private val reader = ImageReader.newInstance(lens.size.width, lens.size.height, ImageFormat.YUV_420_888, BUFFERS)
    private val newest = Newest(frames, onFrame)
    private var preview: Surface? = null
    private var device: CameraDevice? = null
    private var closed = false

    /** Needs the permission. */
    @SuppressLint("MissingPermission")
    fun open(texture: SurfaceTexture) {
        // Emptied whatever the thread of frames does: a full reader would hold the preview up too.
        reader.setOnImageAvailableListener({ if (!closed) it.acquireLatestImage()?.let(newest::offer) }, handler)
        handler.post {
            preview = Surface(texture)
            guarded { manager.openCamera(lens.id, opening(texture), handler) }
        }
    }

    /** Frames that are on their way end on the thread of frames. */
    fun close() {
        handler.post {
            closed = true
            device?.close()
            preview?.release()
            frames.post { reader.close() }
            thread.quitSafely()
        }
    }

    private fun opening(texture: SurfaceTexture) = object : CameraDevice.StateCallback() {
        override fun onOpened(camera: CameraDevice) {
            device = camera
            if (closed) camera.close() else guarded { start(camera, texture) }
        }

        override fun onDisconnected(camera: CameraDevice) = fail(camera, CameraProblem.IN_USE)

        override fun onError(camera: CameraDevice, error: Int) = fail(
            camera,
            when (error) {
                ERROR_CAMERA_IN_USE, ERROR_MAX_CAMERAS_IN_USE -> CameraProblem.IN_USE
                ERROR_CAMERA_DISABLED -> CameraProblem.DISABLED
                else -> CameraProblem.BROKEN
            }
        )
    }

    // The successor of createCaptureSession(List, ...) is there from API 28 on.
    @Suppress("DEPRECATION")
    private fun start(camera: CameraDevice, texture: SurfaceTexture) {
        val surfaces = listOf(preview!!, reader.surface)
        val request =
            camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW).apply { surfaces.forEach(::addTarget) }
        val started =
            object : CameraCaptureSession.StateCallback() {
                override fun onConfigured(session: CameraCaptureSession) {
                    if (!closed) guarded { session.setRepeatingRequest(request.build(), null, handler) }
                }

                override fun onConfigureFailed(session: CameraCaptureSession) = fail(camera, CameraProblem.BROKEN)
            }
        // Not earlier: the view gives its texture its own size with every layout.
        texture.setDefaultBufferSize(shown)
        camera.createCaptureSession(surfaces, started, handler)
    }

    private fun fail(camera: CameraDevice, problem: CameraProblem) {
        camera.close()
        device = null
        if (!closed) onProblem(problem)
    }

    private fun problem(error: CameraAccessException): CameraProblem = when (error.reason) {
        CameraAccessException.CAMERA_IN_USE,
        CameraAccessException.MAX_CAMERAS_IN_USE -> CameraProblem.IN_USE
        CameraAccessException.CAMERA_DISABLED -> CameraProblem.DISABLED
        else -> CameraProblem.BROKEN
    }

    private inline fun guarded(act: () -> Unit) {
        try {
            act()
        } catch (error: CameraAccessException) {
            onProblem(problem(error))
        } catch (_: SecurityException) {
            onProblem(CameraProblem.DISABLED)
        } catch (_: IllegalStateException) {
            failUnlessClosed()
        } catch (_: IllegalArgumentException) {
            failUnlessClosed()
        }
    }

    /** The camera, or the texture, may have gone in between. */
    private fun failUnlessClosed() {
        if (!closed) onProblem(CameraProblem.BROKEN)
    }

    private companion object {
        /** One that is read, one that waits, one that comes, and one that is written. */
        const val BUFFERS = 4
    }
}
