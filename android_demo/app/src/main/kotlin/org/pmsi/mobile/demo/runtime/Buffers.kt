package org.pmsi.mobile.demo.runtime

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Memory that native code reads and writes where it is. */
internal fun directBuffer(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

/** Back to the first element. Through the base class: older versions of Android have no `rewind` in its subclasses. */
internal fun Buffer.toStart() {
    rewind()
}
