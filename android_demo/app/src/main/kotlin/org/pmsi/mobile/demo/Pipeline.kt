package org.pmsi.mobile.demo

import java.io.Closeable
import org.pmsi.mobile.demo.contract.Contract
import org.pmsi.mobile.demo.image.Resizer
import org.pmsi.mobile.demo.image.RgbRows
import org.pmsi.mobile.demo.runtime.Classifier

/** How many classes are shown. */
const val TOP = 5

/** From a picture to its most likely classes, with buffers that are kept: for one thread at a time. */
class Pipeline(private val classifier: Classifier) : Closeable {
    val contract: Contract get() = classifier.contract

    /** Why it does not run as asked; null when it does. */
    val note: Sentence? get() = classifier.note

    /** Of the last picture. */
    val top = Ranking(TOP)

    /** Whether the last picture shows none of the classes. */
    var isNone = false
        private set

    /** Time of the last picture's resize, in nanoseconds. */
    var resizeNs = 0L
        private set

    /** Time of the last picture in the network, in nanoseconds. */
    var networkNs = 0L
        private set

    private val resizer = Resizer(classifier.contract)

    /** Throws what the runtime throws. */
    fun classify(picture: RgbRows) {
        val begun = System.nanoTime()
        val pixels = resizer.resize(picture)
        val resized = System.nanoTime()
        top.take(classifier.classify(pixels))
        isNone = contract.isNone(classifier.unknownScore)
        networkNs = System.nanoTime() - resized
        resizeNs = resized - begun
    }

    override fun close() = classifier.close()
}

/** The [capacity] largest of many numbers, falling. */
class Ranking(private val capacity: Int) {
    val indices = IntArray(capacity)
    val values = FloatArray(capacity)

    var size = 0
        private set

    fun take(numbers: FloatArray) {
        size = 0
        for (index in numbers.indices) insert(index, numbers[index])
    }

    fun take(other: Ranking) {
        size = other.size
        other.indices.copyInto(indices)
        other.values.copyInto(values)
    }

    private fun insert(index: Int, value: Float) {
        if (size == capacity && value <= values[capacity - 1]) return
        if (size < capacity) size++
        var place = size - 1
        while (place > 0 && values[place - 1] < value) {
            indices[place] = indices[place - 1]
            values[place] = values[place - 1]
            place--
        }
        indices[place] = index
        values[place] = value
    }
}
