package org.pmsi.mobile.demo.image

import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.graphics.Color
import android.graphics.ColorSpace
import android.media.ExifInterface
import java.io.Closeable
import java.io.IOException
import java.io.InputStream
import org.pmsi.mobile.demo.Problem
import org.pmsi.mobile.demo.R
import org.pmsi.mobile.demo.Sentence
import org.pmsi.mobile.demo.runtime.CHANNELS

/** Why a photo cannot be used. */
class PhotoProblem(sentence: Sentence, cause: Throwable? = null) : Problem(sentence, cause)

/**
 * A decoded photo, upright as its EXIF entry says, transparency over white, in sRGB: the pixels that Pillow gives,
 * with which the network was trained.
 */
class Photo internal constructor(private val bitmap: Bitmap, private val orientation: Orientation) :
    RgbRows,
    Closeable {
    override val width = if (orientation.transposed) bitmap.height else bitmap.width
    override val height = if (orientation.transposed) bitmap.width else bitmap.height

    // A strip of the bitmap: rows of it, or columns where it lies on its side.
    private val lines = if (orientation.transposed) bitmap.width else bitmap.height
    private val strip = IntArray(width * minOf(STRIP, lines))
    private var stripStart = -1
    private var stripLines = 0

    override fun read(y: Int, row: ByteArray) {
        val fromEnd = if (orientation.transposed) orientation.fromRight else orientation.fromBottom
        val reversed = if (orientation.transposed) orientation.fromBottom else orientation.fromRight
        val line = if (fromEnd) lines - 1 - y else y
        fetch(line)
        val first = line - stripStart
        for (x in 0 until width) {
            val along = if (reversed) width - 1 - x else x
            val colour = strip[if (orientation.transposed) along * stripLines + first else first * width + along]
            overWhite(colour, row, x * CHANNELS)
        }
    }

    /** The photo at a size for the screen: [longest] pixels along its longer side, or as many as it has. */
    fun preview(longest: Int): Bitmap {
        val scale = minOf(1.0, longest.toDouble() / maxOf(width, height))
        val previewWidth = maxOf(1, (width * scale).toInt())
        val previewHeight = maxOf(1, (height * scale).toInt())
        val pixels = Resizer(previewWidth, previewHeight, previewWidth, previewHeight).resize(this)
        return bitmapOf(pixels, previewWidth, previewHeight)
    }

    override fun close() = bitmap.recycle()

    private fun fetch(line: Int) {
        val start = line - line % STRIP
        if (start == stripStart) return
        stripStart = start
        stripLines = minOf(STRIP, lines - start)
        if (orientation.transposed) {
            bitmap.getPixels(strip, 0, stripLines, start, 0, stripLines, bitmap.height)
        } else {
            bitmap.getPixels(strip, 0, width, 0, start, width, stripLines)
        }
    }

    companion object {
        private const val STRIP = 16

        /** More pixels than these, of four bytes each, are not held at once. */
        private const val MOST_PIXELS = 16_000_000L

        /**
         * Decodes what [open] gives; it is opened three times.
         *
         * A photo of more than 16 million pixels is thinned out while it is decoded, by two, four or more: before the
         * resize to a few hundred pixels a side that changes next to nothing. One of which the end is missing is
         * decoded as far as it goes. Throws [PhotoProblem].
         */
        fun decode(open: () -> InputStream): Photo = try {
            val orientation = open().use { ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1) }
            val options = BitmapFactory.Options().apply { inJustDecodeBounds = true }
            open().use { BitmapFactory.decodeStream(it, null, options) }
            options.inSampleSize = thinning(options.outWidth, options.outHeight)
            options.inJustDecodeBounds = false
            options.inPremultiplied = false
            // Phones take photos in Display P3: the same numbers are stronger colours there.
            options.inPreferredColorSpace = ColorSpace.get(ColorSpace.Named.SRGB)
            val bitmap = open().use { BitmapFactory.decodeStream(it, null, options) }
            Photo(bitmap ?: throw unreadable(), Orientation.ofExif(orientation))
        } catch (error: IOException) {
            throw PhotoProblem(Sentence(R.string.photo_unopened, error.message.orEmpty()), error)
        } catch (error: SecurityException) {
            throw PhotoProblem(Sentence(R.string.photo_forbidden), error)
        } catch (error: OutOfMemoryError) {
            throw PhotoProblem(Sentence(R.string.photo_too_large), error)
        }

        private fun unreadable() = PhotoProblem(Sentence(R.string.photo_unreadable))

        private fun thinning(width: Int, height: Int): Int {
            if (width <= 0 || height <= 0) throw unreadable()
            var by = 1
            while (width.toLong() * height / (by * by) > MOST_PIXELS) by *= 2
            return by
        }

        /** Rounded as Pillow's `alpha_composite` does. */
        private fun overWhite(colour: Int, row: ByteArray, to: Int) {
            val alpha = Color.alpha(colour)
            row[to] = overWhite(Color.red(colour), alpha)
            row[to + 1] = overWhite(Color.green(colour), alpha)
            row[to + 2] = overWhite(Color.blue(colour), alpha)
        }

        private fun overWhite(value: Int, alpha: Int): Byte {
            if (alpha == 255) return value.toByte()
            val sum = value * alpha + 255 * (255 - alpha) + 128
            return (sum + (sum shr 8) shr 8).toByte()
        }
    }
}

/** An opaque bitmap of R, G and B of each pixel, row by row. */
fun bitmapOf(pixels: ByteArray, width: Int, height: Int): Bitmap {
    val colours =
        IntArray(width * height) {
            val from = it * CHANNELS
            Color.rgb(
                pixels[from].toInt() and 0xff,
                pixels[from + 1].toInt() and 0xff,
                pixels[from + 2].toInt() and 0xff
            )
        }
    return Bitmap.createBitmap(colours, width, height, Bitmap.Config.ARGB_8888)
}

/** R, G and B of each pixel of an encoded picture, row by row. Throws [PhotoProblem]. */
fun pixelsOf(encoded: ByteArray): ByteArray = Photo.decode(encoded::inputStream).use { picture ->
    Resizer(picture.width, picture.height, picture.width, picture.height).resize(picture)
}
