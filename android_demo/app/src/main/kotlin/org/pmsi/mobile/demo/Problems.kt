package org.pmsi.mobile.demo

import org.pmsi.mobile.demo.contract.ModelProblem
import org.pmsi.mobile.demo.image.PhotoProblem

/** What went wrong, as a sentence for people. */
fun sentence(error: Throwable): String = when (error) {
    is ModelProblem -> error.message
    is PhotoProblem -> error.message
    is OutOfMemoryError -> "This device has too little memory for that."
    else -> "That did not work: ${error.message?.lineSequence()?.first() ?: error.javaClass.simpleName}"
}
