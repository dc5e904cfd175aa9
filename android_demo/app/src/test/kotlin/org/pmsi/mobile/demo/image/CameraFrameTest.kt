package org.pmsi.mobile.demo.image

import com.sun.management.ThreadMXBean
import java.lang.management.ManagementFactory
import java.nio.ByteBuffer
import kotlin.math.abs
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertEquals
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Test
import org.pmsi.mobile.demo.Fixtures
import org.pmsi.mobile.demo.contract.ContractReader
import org.pmsi.mobile.demo.meanDifference
import org.pmsi.mobile.demo.runtime.InputTensor

class CameraFrameTest {
    private val contract by lazy { ContractReader.read(Fixtures.file("models/ckpt.onnx")) }
    private val frames by lazy {
        JSONArray(Fixtures.file("frames/frames.json").readText()).run { List(length(), ::getJSONObject) }
    }

    @Test
    fun `frames of any turn, colour range and memory layout become the same picture as in Python`() {
        for (limited in listOf(false, true)) {
            val frame = CameraFrame(if (limited) ColourRange.LIMITED else ColourRange.FULL)
            for (expected in frames.filter { it.getBoolean("limited") == limited }) {
                for (pixelStride in listOf(1, 2)) {
                    load(frame, expected, pixelStride)
                    assertMatches(expected, frame)
                }
            }
        }
    }

    @Test
    fun `the network sees a frame as it sees the photo of the same scene`() {
        val resizer = Resizer(contract)
        val frame = CameraFrame()
        val full = frames.filterNot { it.getBoolean("limited") }
        val differences = full.map { expected ->
            load(frame, expected, 2)
            meanDifference(plane(expected, "input"), resizer.resize(frame))
        }
        println("frames differ from the photo by $differences grey levels on average")
        assertTrue("$differences", differences.all { it <= 1 })
    }

    @Test
    fun `frames of one size allocate nothing`() {
        val threads = ManagementFactory.getThreadMXBean() as ThreadMXBean
        val resizer = Resizer(contract)
        val input = InputTensor(contract)
        val frame = CameraFrame()
        val planes = listOf("y", "cb", "cr").map { ByteBuffer.wrap(plane(frames.first(), it)) }

        fun process() {
            frame.place(640, 480, 90)
            frame.copy(0, planes[0], 640, 1)
            frame.copy(1, planes[1], 320, 1)
            frame.copy(2, planes[2], 320, 1)
            input.fill(resizer.resize(frame))
        }
        process()
        val before = threads.currentThreadAllocatedBytes
        repeat(20) { process() }
        val bytes = threads.currentThreadAllocatedBytes - before
        assertTrue("$bytes bytes", bytes < 1000)
    }

    @Test
    fun `a frame of the other colour range is another picture`() {
        val expected = frames.first { it.getBoolean("limited") }
        val frame = CameraFrame(ColourRange.FULL)
        load(frame, expected, 1)
        assertTrue(difference(expected, frame) > 4)
    }

    @Test
    fun `a turn by anything but quarters is refused`() {
        assertThrows(IllegalArgumentException::class.java) { CameraFrame().place(4, 4, 45) }
    }

    private fun assertMatches(expected: JSONObject, frame: CameraFrame) {
        val turned = expected.getInt("rotation") % 180 != 0
        assertEquals(expected.getInt(if (turned) "height" else "width"), frame.width)
        assertEquals(expected.getInt(if (turned) "width" else "height"), frame.height)
        assertTrue("$expected", difference(expected, frame) <= 1)
    }

    /** The largest. */
    private fun difference(expected: JSONObject, frame: CameraFrame): Int {
        val rgb = plane(expected, "rgb")
        val row = ByteArray(3 * frame.width)
        return (0 until frame.height).maxOf { y ->
            frame.read(y, row)
            row.indices.maxOf { abs((row[it].toInt() and 0xff) - (rgb[y * row.size + it].toInt() and 0xff)) }
        }
    }

    private fun load(frame: CameraFrame, description: JSONObject, pixelStride: Int) {
        val width = description.getInt("width")
        val height = description.getInt("height")
        frame.place(width, height, description.getInt("rotation"))
        frame.copy(0, padded(plane(description, "y"), width, 1), width + PADDING, 1)
        frame.copy(
            1,
            padded(plane(description, "cb"), width / 2, pixelStride),
            pixelStride * width / 2 + PADDING,
            pixelStride
        )
        frame.copy(
            2,
            padded(plane(description, "cr"), width / 2, pixelStride),
            pixelStride * width / 2 + PADDING,
            pixelStride
        )
    }

    private fun plane(description: JSONObject, part: String) =
        Fixtures.file("frames/${description.getString("name")}.$part").readBytes()

    /** As a camera may lay it out: pixels apart, rows apart, and nothing behind the last pixel. */
    private fun padded(plane: ByteArray, width: Int, pixelStride: Int): ByteBuffer {
        val rowStride = width * pixelStride + PADDING
        val last = plane.size - 1
        val buffer = ByteBuffer.allocateDirect(last / width * rowStride + last % width * pixelStride + 1)
        for (index in plane.indices) buffer.put(index / width * rowStride + index % width * pixelStride, plane[index])
        return buffer
    }

    private companion object {
        const val PADDING = 5
    }
}
