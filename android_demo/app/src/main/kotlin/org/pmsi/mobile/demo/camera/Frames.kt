package org.pmsi.mobile.demo.camera

import android.media.Image
import android.os.Handler
import android.os.Looper
import android.os.SystemClock
import org.pmsi.mobile.demo.Pipeline
import org.pmsi.mobile.demo.Ranking
import org.pmsi.mobile.demo.TOP
import org.pmsi.mobile.demo.image.CameraFrame

/** How long frames take, on average over some of them. */
class FrameTimes(val frameMs: Double, val networkMs: Double, val perSecond: Double)

/**
 * Classifies the camera's frames on the thread that they come on. From one frame to the next nothing is allocated.
 *
 * [rotation]: by how much frames have to be turned clockwise to stand upright. [pipeline]: the model, ready to run. On
 * the main thread, [onTop] is called with what each frame shows and whether that is none of the classes, [onTimes] now
 * and then, [onFailure] once, when the model does not run.
 */
class Frames(
    private val rotation: Int,
    private val pipeline: () -> Pipeline,
    private val onTop: (Ranking, Boolean) -> Unit,
    private val onTimes: (FrameTimes) -> Unit,
    private val onFailure: (Throwable) -> Unit
) {
    private val main = Handler(Looper.getMainLooper())
    private val frame = CameraFrame()
    private var failed = false

    // Written by the thread of frames, read by the main thread.
    private val found = Ranking(TOP)
    private var isNone = false
    private var frameNs = 0L
    private var networkNs = 0L
    private val publish = Runnable { show() }

    // The main thread's.
    private var since = 0L
    private var shown = 0
    private var sumFrameNs = 0L
    private var sumNetworkNs = 0L

    /** Takes a frame, and closes it. */
    fun take(image: Image) {
        val begun = System.nanoTime()
        image.use { frame.load(it, rotation) }
        if (failed) return
        runCatching { classify(begun) }.onFailure {
            failed = true
            main.post { onFailure(it) }
        }
    }

    private fun classify(begun: Long) {
        val pipeline = pipeline()
        pipeline.classify(frame)
        synchronized(found) {
            found.take(pipeline.top)
            isNone = pipeline.isNone
            networkNs = pipeline.networkNs
            frameNs = System.nanoTime() - begun
        }
        main.post(publish)
    }

    private fun show() {
        synchronized(found) {
            onTop(found, isNone)
            sumFrameNs += frameNs
            sumNetworkNs += networkNs
        }
        shown++
        val now = SystemClock.elapsedRealtime()
        if (since == 0L) since = now
        if (now - since >= PERIOD_MS) tellTimes(now)
    }

    private fun tellTimes(now: Long) {
        onTimes(
            FrameTimes(
                frameMs = sumFrameNs / NS_PER_MS / shown,
                networkMs = sumNetworkNs / NS_PER_MS / shown,
                perSecond = shown * MS_PER_SECOND / (now - since)
            )
        )
        since = now
        shown = 0
        sumFrameNs = 0
        sumNetworkNs = 0
    }

    private companion object {
        const val PERIOD_MS = 500
        const val MS_PER_SECOND = 1000.0
        const val NS_PER_MS = 1e6
    }
}
