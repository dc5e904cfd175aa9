package org.pmsi.mobile.demo.contract

import org.pmsi.mobile.demo.Problem
import org.pmsi.mobile.demo.Sentence

/** Why a model, or its golden samples, cannot be used. */
class ModelProblem(sentence: Sentence, cause: Throwable? = null) : Problem(sentence, cause)
