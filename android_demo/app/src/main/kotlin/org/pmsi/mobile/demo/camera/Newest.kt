package org.pmsi.mobile.demo.camera

import android.media.Image
import android.os.Handler
import java.util.concurrent.atomic.AtomicReference

/** Hands images to the thread of [handler], always the newest one: those that it has no time for are closed. */
class Newest(private val handler: Handler, take: (Image) -> Unit) {
    private val waiting = AtomicReference<Image>()
    private val handOver = Runnable { waiting.getAndSet(null)?.let(take) }

    /** On any thread. [image] is closed by the one that takes it. */
    fun offer(image: Image) {
        val older = waiting.getAndSet(image)
        if (older == null) handler.post(handOver) else older.close()
    }
}
