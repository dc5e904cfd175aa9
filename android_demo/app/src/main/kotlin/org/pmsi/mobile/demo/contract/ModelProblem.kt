package org.pmsi.mobile.demo.contract

/** Why a model cannot be used; [message] is a sentence for people. */
class ModelProblem(override val message: String, cause: Throwable? = null) : Exception(message, cause)
