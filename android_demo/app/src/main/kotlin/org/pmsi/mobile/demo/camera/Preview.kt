package org.pmsi.mobile.demo.camera

import android.graphics.Matrix
import android.graphics.RectF
import kotlin.math.min

private const val HALF_TURN = 180

/**
 * Where a camera's picture lies in the view that shows it: whole, upright and in proportion.
 *
 * A TextureView stretches the picture over the view, upright for the device's natural position; [matrix] puts that
 * right.
 */
class Preview(viewWidth: Int, viewHeight: Int, lens: Lens, displayDegrees: Int) {
    /** In the view's pixels. */
    val picture: RectF

    val matrix = Matrix()

    init {
        val lying = lens.sensorDegrees % HALF_TURN != 0
        val naturalWidth = (if (lying) lens.size.height else lens.size.width).toFloat()
        val naturalHeight = (if (lying) lens.size.width else lens.size.height).toFloat()
        val turned = displayDegrees % HALF_TURN != 0
        val width = if (turned) naturalHeight else naturalWidth
        val height = if (turned) naturalWidth else naturalHeight
        val scale = min(viewWidth / width, viewHeight / height)
        val centreX = viewWidth / 2f
        val centreY = viewHeight / 2f
        matrix.setScale(naturalWidth * scale / viewWidth, naturalHeight * scale / viewHeight, centreX, centreY)
        matrix.postRotate(-displayDegrees.toFloat(), centreX, centreY)
        picture =
            RectF(
                centreX - width * scale / 2,
                centreY - height * scale / 2,
                centreX + width * scale / 2,
                centreY + height * scale / 2
            )
    }
}
