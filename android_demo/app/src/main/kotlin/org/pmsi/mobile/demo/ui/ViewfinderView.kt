package org.pmsi.mobile.demo.ui

import android.content.Context
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.RectF
import android.util.AttributeSet
import android.view.View
import org.pmsi.mobile.demo.R

/** Shows which part of the camera's picture the network sees, and darkens the rest. */
class ViewfinderView(context: Context, attributes: AttributeSet? = null) : View(context, attributes) {
    private val density = resources.displayMetrics.density
    private val picture = RectF()
    private val seen = RectF()
    private val shade = Paint().apply { color = SHADE }
    private val frame =
        Paint(Paint.ANTI_ALIAS_FLAG).apply {
            style = Paint.Style.STROKE
            color = Color.WHITE
            strokeWidth = resources.getDimension(R.dimen.viewfinder_stroke)
        }

    /** [picture]: where the picture is in this view. [share]: of its width and its height that the network sees. */
    fun show(picture: RectF, share: Float) {
        this.picture.set(picture)
        seen.set(picture)
        seen.inset(picture.width() * (1 - share) / 2, picture.height() * (1 - share) / 2)
        invalidate()
    }

    override fun onDraw(canvas: Canvas) {
        if (seen.isEmpty) return
        canvas.drawRect(picture.left, picture.top, picture.right, seen.top, shade)
        canvas.drawRect(picture.left, seen.bottom, picture.right, picture.bottom, shade)
        canvas.drawRect(picture.left, seen.top, seen.left, seen.bottom, shade)
        canvas.drawRect(seen.right, seen.top, picture.right, seen.bottom, shade)
        corner(canvas, seen.left, seen.top, 1f, 1f)
        corner(canvas, seen.right, seen.top, -1f, 1f)
        corner(canvas, seen.left, seen.bottom, 1f, -1f)
        corner(canvas, seen.right, seen.bottom, -1f, -1f)
    }

    private fun corner(canvas: Canvas, x: Float, y: Float, right: Float, down: Float) {
        val inset = frame.strokeWidth / 2
        val length = ARM_DP * density
        val startX = x + right * inset
        val startY = y + down * inset
        canvas.drawLine(startX - right * inset, startY, startX + right * length, startY, frame)
        canvas.drawLine(startX, startY - down * inset, startX, startY + down * length, frame)
    }

    private companion object {
        const val SHADE = 0x66000000
        const val ARM_DP = 28
    }
}
